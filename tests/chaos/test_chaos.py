"""The short form of the chaos campaigns, with seeds that never change; `make chaos` runs long ones with new seeds."""

from pathlib import Path

import pytest

from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.chaos.campaign import Campaign
from tests.chaos.lost_calls import LostCalls
from tests.support.polling import poll

SECONDS = 8.0


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
async def test_nothing_accepted_is_dropped_whatever_happens(
    fake_server: FakeLiveKitServer, tmp_path: Path, seed: int
) -> None:
    """Killed and stopped processes, cut sockets, garbage, broken reloads, a killed host: the books balance."""
    report = await Campaign(fake_server, tmp_path, seed=seed).run(SECONDS)
    assert report.wrong == (), report
    assert len(report.faults) > 5, report
    assert report.jobs > 5, report


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
async def test_every_call_has_one_agent_in_the_end(seed: int) -> None:
    """Hosts with recovery die, fill up, fall silent and drain; no call is lost, and none ever has two agents."""
    async with FakeLiveKitServer(budget=0.03) as server:
        calls = LostCalls(server, seed=seed)
        try:
            await calls.run(rooms=60, seconds=5.0)
            await poll(lambda: not calls.unserved(), timeout=15, what="calls were lost")
        finally:
            for host in calls.hosts:
                await host.__aexit__(None, None, None)
    assert calls.wrong == set()
    assert calls.deaths > 0
    assert calls.recovered + sum(host.recovered for host in calls.hosts) > 5
