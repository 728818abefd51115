"""`Joining`: when a job of livekit-agents joins its room, whoever calls `room.connect`. Runs in job processes."""

import asyncio
from collections.abc import Callable
from typing import Any


class Joining:
    """Watches the `connect` of `room` from now on; `joined` is called each time it has succeeded, on the loop."""

    def __init__(self, room: Any, *, joined: Callable[[], None]) -> None:
        self._connect = room.connect
        self._joined = joined
        self._changed = asyncio.Event()
        self._attempts = 0
        self._given_up = False
        self.was_joined = False
        room.connect = self._watched

    async def wait(self, seconds: float) -> bool:
        """Whether the room was joined, once no attempt is under way; the first may begin within `seconds`."""
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while not (self.was_joined or self._given_up) and (self._attempts or loop.time() < end):
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

    async def _watched(self, *args: Any, **kwargs: Any) -> None:
        self._attempts += 1
        self._changed.set()
        try:
            await self._connect(*args, **kwargs)
            self.was_joined = True
            self._joined()
        finally:
            self._attempts -= 1
            self._changed.set()
