"""The short form of the chaos campaigns, with seeds that never change; `make chaos` runs long ones with new seeds."""

import logging
from pathlib import Path

import pytest

from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.chaos.campaign import Campaign, Report
from tests.chaos.crowd import measure
from tests.chaos.crowd_table import table as crowd_table
from tests.chaos.lost_calls import LostCalls
from tests.chaos.run import table
from tests.chaos.stages import fake_stage, real_stage
from tests.support.polling import poll

SECONDS = 8.0
FAULTS = 6

log = logging.getLogger(__name__)


def check(report: Report) -> None:
    """The books balance, and there was something to enter."""
    log.info("seed %d\n%s", report.seed, table([report]))
    assert report.wrong == (), report
    assert report.injected.total() > 5, report
    assert report.accepted > 5, report


@pytest.mark.slow(10)
@pytest.mark.machine  # only root may count a host's descriptors
async def test_nothing_accepted_is_dropped_whatever_happens(tmp_path: Path) -> None:
    """Killed and stopped processes, no descriptors, no forks, cut sockets, broken reloads: the books balance."""
    async with fake_stage() as stage:
        check(await Campaign(stage, tmp_path, seed=1).run(SECONDS, at_least=FAULTS))


@pytest.mark.slow(10)
@pytest.mark.machine
@pytest.mark.e2e
async def test_nothing_accepted_is_dropped_on_a_real_server(livekit_binary: Path, tmp_path: Path) -> None:
    """The same with jobs that join their rooms."""
    async with real_stage(livekit_binary, tmp_path) as stage:
        check(await Campaign(stage, tmp_path, seed=2).run(SECONDS, at_least=FAULTS))


@pytest.mark.slow(25)
@pytest.mark.e2e
@pytest.mark.timeout(240)
async def test_crowd_of_calls_is_served_and_counted(livekit_binary: Path) -> None:
    """A few calls of what `make chaos` does with a thousand: each person hears an agent say goodbye, or it is told."""
    outcome = await measure("agenthost", binary=livekit_binary, calls=6, rate=1.5, seed=1)
    assert (len(outcome.calls), outcome.lost, outcome.crowded, outcome.broken) == (6, 0, 0, 0), outcome
    shown = crowd_table([outcome])
    assert "| calls | 6 |" in shown
    assert "| **lost** | **0** |" in shown


@pytest.mark.slow(10)
@pytest.mark.quiet  # its waits are a hundredth of what they are: a processor that is shared is late for all of them
@pytest.mark.parametrize("seed", [1, 2])
async def test_every_call_has_one_agent_in_the_end(seed: int) -> None:
    """Hosts with recovery die, fill up, fall silent and drain; no call is lost, and none ever has two agents."""
    async with FakeLiveKitServer(budget=0.03) as server:
        calls = LostCalls(server, seed=seed)
        try:
            await calls.run(rooms=60, seconds=5.0)
            await poll(lambda: not calls.unserved(), timeout=15)
            assert calls.unserved() == []
        finally:
            for host in calls.hosts:
                await host.__aexit__(None, None, None)
    assert calls.wrong == set()
    assert calls.deaths > 0
    assert calls.recovered + sum(host.recovered for host in calls.hosts) > 5
