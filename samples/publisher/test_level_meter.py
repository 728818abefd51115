"""One job for each publisher: the offer names the participant whom it is about."""

from pathlib import Path

import pytest
from livekit.protocol.models import ParticipantInfo

from agenthost.jobs import JobType

FILE = Path(__file__).parent / "agenthost.yaml"


@pytest.mark.asyncio
async def test_each_speaker_has_a_meter_that_does_not_speak(run_agent):
    agent = await run_agent(FILE)
    for name in ("ann", "bob"):
        job = await agent.offer("studio", type=JobType.PUBLISHER, participant=ParticipantInfo(identity=name))
        assert job.answer.identity == f"meter-{name}"
        assert (await job.wait_join()).video.can_publish is False
