"""The echo, tested as one would test an agent of one's own."""

import asyncio
from pathlib import Path

import pytest
from livekit import rtc

FILE = Path(__file__).parent / "agenthost.yaml"


@pytest.mark.asyncio
async def test_every_room_is_served_under_the_name_of_the_file(run_agent):
    agent = await run_agent(FILE)
    job = await agent.offer("lobby")
    assert job.accepted
    assert (job.answer.name, job.answer.identity) == ("Echo", f"agent-{job.id}")
    assert (await job.decision())["rule"] == "otherwise"


@pytest.mark.asyncio
async def test_it_may_say_something_and_is_seen(run_agent):
    agent = await run_agent(FILE)
    claims = await (await agent.offer("lobby")).wait_join()
    assert claims.video.room == "lobby"
    assert claims.video.can_publish_data
    assert not claims.video.hidden


@pytest.mark.asyncio
async def test_what_somebody_writes_comes_back(run_agent_on_server):
    agent = await run_agent_on_server(FILE)
    room = await agent.join("lobby", "ann")
    answers = Answers(room)
    await agent.host.wait_event("job connected")
    await room.local_participant.send_text("good morning", topic="lk.chat")
    assert await answers.next() == "good morning"


class Answers:
    """The texts that somebody in the room gets."""

    def __init__(self, room: rtc.Room) -> None:
        self._texts: asyncio.Queue[str] = asyncio.Queue()
        self._readers: set[asyncio.Task[None]] = set()
        room.register_text_stream_handler("lk.chat", self._on_text)

    async def next(self) -> str:
        return await asyncio.wait_for(self._texts.get(), timeout=10)

    def _on_text(self, reader: rtc.TextStreamReader, sender: str) -> None:
        task = asyncio.create_task(self._read(reader))
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)

    async def _read(self, reader: rtc.TextStreamReader) -> None:
        self._texts.put_nowait(await reader.read_all())
