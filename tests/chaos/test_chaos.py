"""The short form of the chaos campaign, with seeds that never change; `make chaos` runs long ones with new seeds."""

from pathlib import Path

import pytest

from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.chaos.campaign import Campaign

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
