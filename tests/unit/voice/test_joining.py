"""Whether a job of livekit-agents is in its room, or on its way."""

import asyncio

import pytest

from agenthost.voice.joining import Joining


class Room:
    """Connects when it is let; `livekit.rtc` has no room that connects to nothing."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.fails = False

    async def connect(self, url: str) -> None:
        await self.let.wait()
        if self.fails:
            raise ConnectionError(url)


@pytest.fixture
def room() -> Room:
    return Room()


async def test_an_attempt_under_way_is_waited_for_however_long(room: Room) -> None:
    """Only the beginning has a limit."""
    told: list[str] = []
    joining = Joining(room, joined=lambda: told.append("joined"))
    attempt = asyncio.create_task(room.connect("ws://room"))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(joining.wait(0.0))
    await asyncio.sleep(0)
    assert not waiting.done() and not told
    room.let.set()
    await attempt
    assert await waiting and told == ["joined"]


async def test_nobody_who_goes_there_is_not_waited_for(room: Room) -> None:
    """The time to begin is over."""
    assert not await Joining(room, joined=lambda: None).wait(0.01)


async def test_an_attempt_that_failed_is_none(room: Room) -> None:
    """Its error goes to whoever called connect."""
    joining = Joining(room, joined=lambda: pytest.fail("it did not join"))
    room.let.set()
    room.fails = True
    with pytest.raises(ConnectionError):
        await room.connect("ws://room")
    assert not await joining.wait(0.0)


async def test_an_ending_job_waits_no_longer(room: Room) -> None:
    """Its entrypoint has returned; the rest of the end must not be held up."""
    joining = Joining(room, joined=lambda: None)
    waiting = asyncio.create_task(joining.wait(60.0))
    await asyncio.sleep(0)
    joining.give_up()
    assert not await asyncio.wait_for(waiting, 1.0)
