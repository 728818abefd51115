"""`JobRoom`: livekit.rtc's room as a job has it. Runs in job processes.

It has its name before it is connected, and it notices that it joined whoever called `connect`: the context, a
framework, or the user's own code. That is how a job that returned before joining is told from one that lives on.
"""

import asyncio
from collections.abc import Callable

from livekit import rtc


class JobRoom(rtc.Room):
    """The room of a job, not yet connected; `name` is the room's name from the start. Needs a running loop."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self._given_name = name
        self._was_joined = False
        self._join_settled = asyncio.Event()
        self._join_settled.set()
        self._join_callbacks: list[Callable[[], None]] = []

    @property
    def name(self) -> str:
        return super().name or self._given_name

    @property
    def joined(self) -> bool:
        """Whether the job was in its room at any time, now or before."""
        return self._was_joined

    def when_joined(self, callback: Callable[[], None]) -> None:
        """Call `callback` each time the room has been connected, before `connect` returns."""
        self._join_callbacks.append(callback)

    async def wait_settled(self) -> None:
        """Return when no attempt to connect is under way."""
        await self._join_settled.wait()

    async def connect(self, url: str, token: str, options: rtc.RoomOptions | None = None) -> None:
        """Join the room; raises `livekit.rtc.ConnectError` when the server cannot be reached or refuses."""
        self._join_settled.clear()
        try:
            await super().connect(url, token, options or rtc.RoomOptions())
            self._was_joined = True
            for callback in self._join_callbacks:
                callback()
        finally:
            self._join_settled.set()
