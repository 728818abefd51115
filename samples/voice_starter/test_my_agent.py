"""An agent written for livekit-agents is tested like any other, up to its join."""

from pathlib import Path

import pytest

pytest.importorskip("livekit.agents")

FILE = Path(__file__).parent / "agenthost.yaml"


@pytest.mark.asyncio
async def test_every_room_is_served(run_agent):
    agent = await run_agent(FILE)
    job = await agent.offer("call-1")
    assert job.accepted
    assert (await job.wait_join()).video.room == "call-1"
