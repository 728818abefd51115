"""Whether a job is in its room, or on its way; joining with rooms of its own is tried in tests/e2e."""

import asyncio
from collections.abc import Callable

import pytest
from livekit import rtc

from agenthost.child.joining import Joining


@pytest.fixture
async def given() -> rtc.Room:
    return rtc.Room()


def watch(given: rtc.Room) -> Joining:
    def never(*told: object) -> None:
        pytest.fail(f"it was neither joined nor left: {told}")

    return Joining(given, room="lobby", identity="agent", joined=never, left=never)


class Attempt:
    """Connects when it is let; `livekit.rtc` has no room that connects to nothing."""

    def __init__(self, *, fails: bool = False) -> None:
        self.let = asyncio.Event()
        self._fails = fails

    async def connect(self) -> None:
        await self.let.wait()
        if self._fails:
            raise ConnectionError


async def test_an_attempt_under_way_is_waited_for_however_long(given: rtc.Room) -> None:
    """Only the beginning has a limit."""
    joining, attempt = watch(given), Attempt()
    connecting = asyncio.create_task(joining.connect(given, attempt.connect()))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(joining.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    attempt.let.set()
    await connecting
    assert await waiting


async def test_nobody_who_goes_there_is_not_waited_for(given: rtc.Room) -> None:
    """The time to begin is over."""
    assert not await watch(given).wait(0.01)


async def test_an_attempt_that_failed_is_none(given: rtc.Room) -> None:
    """Its error goes to whoever called connect."""
    joining, attempt = watch(given), Attempt(fails=True)
    attempt.let.set()
    with pytest.raises(ConnectionError):
        await joining.connect(given, attempt.connect())
    assert not await joining.wait()


async def test_an_ending_job_waits_no_longer(given: rtc.Room) -> None:
    """Its entrypoint has returned; the rest of the end must not be held up."""
    joining = watch(given)
    waiting = asyncio.create_task(joining.wait(60.0))
    await asyncio.sleep(0)
    joining.give_up()
    assert not await asyncio.wait_for(waiting, 1.0)


@pytest.mark.parametrize("end", [Joining.close, lambda _: None], ids=["over", "under way"])
async def test_a_room_of_any_kind_connects_as_it_does_without_us(
    given: rtc.Room, end: Callable[[Joining], None]
) -> None:
    """With the error of livekit.rtc, also after the job."""
    joining = watch(given)
    joining.open()
    try:
        end(joining)
        with pytest.raises(rtc.ConnectError):
            await rtc.Room().connect("ws://127.0.0.1:9", "token")
    finally:
        joining.close()
    assert not await joining.wait()
