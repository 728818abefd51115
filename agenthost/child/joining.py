"""`Joining`: when a job joins its room, with whichever `livekit.rtc.Room` and whoever connects it. In job processes.

Mostly that is `ctx.room`. Code that joins by itself, with `ctx.url` and `ctx.token` or through the transport of another
framework, has a room of its own: where the server knows it by the job's identity in the job's room, it is the job that
has joined, and leaving that room is leaving the job's.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import cache, wraps
from typing import Any

from livekit import rtc
from livekit.rtc import DisconnectReason

_watching: "Joining | None" = None


class Joining:
    """The job of `identity` in the room that is named `room`. `given` is `ctx.room`, which counts in any case.

    `joined` is called with the room's and the participant's sid each time it joins; `left` with the reason when it
    has left a room that is not `given`. Both on the loop that this is made on, whatever thread the room is in.
    """

    def __init__(
        self,
        given: rtc.Room,
        *,
        room: str,
        identity: str,
        joined: Callable[[str, str], None],
        left: Callable[[int], None],
    ) -> None:
        self._given = given
        self._room = room
        self._identity = identity
        self._joined = joined
        self._left = left
        self._loop = asyncio.get_running_loop()
        self._own: dict[rtc.Room, asyncio.AbstractEventLoop] = {}
        self._announcements: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._attempts = 0
        self._gone: int | None = None
        self._given_up = False
        self.was_joined = False

    def open(self) -> None:
        """From now on this is told of every room that this process connects."""
        global _watching
        _watch_rooms()
        _watching = self

    def close(self) -> None:
        """The job is over."""
        global _watching
        _watching = None

    @property
    def room(self) -> rtc.Room:
        """The one that the job is in; `given` while it is in none."""
        return next(iter(self._own), self._given)

    async def wait(self, seconds: float = 0.0) -> bool:
        """Whether the room was joined, once no attempt is under way; the first may begin within `seconds`."""
        end = self._loop.time() + seconds
        while not (self.was_joined or self._given_up) and (self._attempts or self._loop.time() < end):
            self._changed.clear()
            try:
                async with asyncio.timeout_at(None if self._attempts else end):
                    await self._changed.wait()
            except TimeoutError:
                continue  # an attempt may just have begun
        return self.was_joined

    def give_up(self) -> None:
        """The job ends: whoever waits need not go on."""
        self._given_up = True
        self._changed.set()

    async def leave(self) -> None:
        """Leave the rooms that are not `given`, each on the loop that it was joined on."""
        for room, loop in list(self._own.items()):
            if loop is self._loop:
                await room.disconnect()
            elif loop.is_running():
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(room.disconnect(), loop))

    # ── on the loop of a room, which may be another thread's ─────────────────────────────────────────────────

    async def connect(self, room: rtc.Room, connecting: Coroutine[Any, Any, None]) -> None:
        """`room` is being connected."""
        self._tell(self._note_attempts, +1)
        try:
            await connecting
            if self._is_the_jobs(room):
                self._note_joined(room)
        finally:
            self._tell(self._note_attempts, -1)

    def _is_the_jobs(self, room: rtc.Room) -> bool:
        return room is self._given or (room.name == self._room and room.local_participant.identity == self._identity)

    def _note_joined(self, room: rtc.Room) -> None:
        self.was_joined = True
        if room is not self._given:
            self._own[room] = asyncio.get_running_loop()
            room.on("disconnected", lambda reason: self._tell(self._note_left, room, reason))
            _tell_leaving(room, lambda reason: self._tell(self._note_left, room, reason))
        announcing = asyncio.create_task(self._announce(room), name="agenthost: connected")
        self._announcements.add(announcing)
        announcing.add_done_callback(self._announcements.discard)

    async def _announce(self, room: rtc.Room) -> None:
        self._tell(self._joined, await room.sid, room.local_participant.sid)

    def _tell(self, function: Callable[..., None], *arguments: Any) -> None:
        if asyncio.get_running_loop() is self._loop:
            function(*arguments)
        else:
            self._loop.call_soon_threadsafe(function, *arguments)

    # ── on the job's own ─────────────────────────────────────────────────────────────────────────────────────

    def _note_attempts(self, change: int) -> None:
        self._attempts += change
        self._changed.set()
        self._judge()

    def _note_left(self, room: rtc.Room, reason: int) -> None:
        """It may be said twice."""
        if self._own.pop(room, None) is not None:
            self._gone = reason
            self._judge()

    def _judge(self) -> None:
        """Who joins anew with another room is sent away from the first one before it is in the second."""
        if self._gone is not None and not self._attempts:
            reason, self._gone = self._gone, None
            if not self.room.isconnected():
                self._left(reason)


@cache
def _watch_rooms() -> None:
    """Once a process: what user code makes of the class, a subclass for one, connects through this."""
    theirs = rtc.Room.connect

    @wraps(theirs)
    async def connect(self: rtc.Room, *arguments: Any, **options: Any) -> None:
        connecting = theirs(self, *arguments, **options)
        await (connecting if _watching is None else _watching.connect(self, connecting))

    setattr(rtc.Room, "connect", connect)  # noqa: B010  an assignment is not allowed to a method


def _tell_leaving(room: rtc.Room, told: Callable[[int], None]) -> None:
    """livekit.rtc 1.1.21 forgets "disconnected" now and then when the room is left, as `JobRoom.disconnect` has it."""
    theirs = room.disconnect

    @wraps(theirs)
    async def disconnect(**options: Any) -> None:
        await theirs(**options)
        told(options.get("reason", DisconnectReason.CLIENT_INITIATED))

    setattr(room, "disconnect", disconnect)  # noqa: B010  an assignment is not allowed to a method
