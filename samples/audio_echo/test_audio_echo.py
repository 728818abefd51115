"""What the file lets the agent do is in the token that its job joins with."""

from pathlib import Path

import pytest

FILE = Path(__file__).parent / "agenthost.yaml"


@pytest.mark.asyncio
async def test_it_plays_a_microphone_and_nothing_else(run_agent):
    agent = await run_agent(FILE)
    job = await agent.offer("call-1")
    assert job.answer.name == "Audio echo"
    video = (await job.wait_join()).video
    assert video.can_publish
    assert video.can_publish_sources == ["microphone"]
