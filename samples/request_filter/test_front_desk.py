"""Rules and the handler, asked as the server asks them."""

from pathlib import Path

import pytest

from agenthost.jobs import JobStatus

FILE = Path(__file__).parent / "agenthost.yaml"


@pytest.mark.asyncio
async def test_recordings_are_nobodys_business(run_agent):
    agent = await run_agent(FILE)
    job = await agent.offer("rec-7", room_metadata={"customer": "acme"})
    assert not job.accepted
    assert job.answer.terminate
    assert (await job.decision())["rule"] == "recordings"


@pytest.mark.asyncio
async def test_customers_are_served_under_their_name(run_agent):
    agent = await run_agent(FILE)
    job = await agent.offer("desk", room_metadata={"customer": "acme"})
    assert job.accepted
    assert job.answer.name == "Support for ACME Inc."
    assert job.answer.attributes["customer"] == "acme"
    await job.wait_status(JobStatus.RUNNING)
    assert all(line.fields["room"] == "desk" for line in job.log if "room" in line.fields)


@pytest.mark.asyncio
@pytest.mark.parametrize("metadata", ["", "no JSON", '{"customer": "nobody"}'])
async def test_strangers_are_refused_by_the_handler(run_agent, metadata):
    agent = await run_agent(FILE)
    job = await agent.offer("desk", room_metadata=metadata)
    assert not job.accepted
    assert (await job.decision())["reason"] == "handler"
