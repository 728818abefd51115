"""Two agents behind one file: each is offered what is meant for it, and on a real server one calls the other."""

import asyncio
from pathlib import Path

import pytest

FILE = Path(__file__).parent / "agenthost.yaml"


@pytest.mark.asyncio
async def test_the_clerk_serves_five_at_a_time_and_the_greeter_goes_on(run_agent):
    agent = await run_agent(FILE)
    for number in range(5):
        assert (await agent.offer(f"room-{number}", agent="clerk", metadata="ann")).accepted
    sixth = await agent.offer("room-5", agent="clerk", metadata="ann")
    assert not sixth.accepted
    assert (await sixth.decision())["reason"] == "full"
    assert (await agent.offer("room-6", agent="greeter")).accepted


@pytest.mark.asyncio
async def test_the_greeter_calls_the_clerk_for_whom_asks(run_agent_on_server):
    agent = await run_agent_on_server(FILE)
    room = await agent.join("lobby", "ann")
    heard: asyncio.Queue[str] = asyncio.Queue()
    reading = set()

    def on_text(reader, sender):
        async def read():
            heard.put_nowait(await reader.read_all())

        reading.add(asyncio.create_task(read()))

    room.register_text_stream_handler("lk.chat", on_text)
    assert (await asyncio.wait_for(heard.get(), timeout=10)).startswith("Hello ann!")
    await room.local_participant.send_text("clerk", topic="lk.chat")
    assert await asyncio.wait_for(heard.get(), timeout=10) == "How can I help, ann?"
    called = await agent.host.wait_event("job accepted", agent="clerk")
    assert called.fields["room"] == "lobby"
