"""Whoever has a room may call an interpreter, unless the room is for one."""

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
