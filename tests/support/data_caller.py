"""A person in a room of the real server who says something ten times a second and listens for the echo."""

import asyncio
import time

from livekit import rtc

PERIOD_SECONDS = 0.1


class DataCaller:
    """`gap` is the longest time so far without an echo, in seconds; `heard` counts the echoes.

    `left` is how many agents have left the room, `missing` how many echoes have not come (yet) since the first.
    """

    def __init__(self, room: rtc.Room) -> None:
        self.room = room
        self.said = 0
        self.heard = 0
        self.left = 0
        self._first = 0
        self._longest = 0.0
        self._last = 0.0
        self._first_echo = asyncio.Event()
        room.on("data_received", self._on_data)
        room.on("participant_disconnected", self._on_left)
        self._task = asyncio.create_task(self._talk())

    @property
    def gap(self) -> float:
        return max(self._longest, time.monotonic() - self._last)

    @property
    def missing(self) -> int:
        return self.said - self._first - self.heard

    async def answered(self) -> None:
        """Wait for the first echo: from here on gaps count."""
        await self._first_echo.wait()

    async def hang_up(self) -> None:
        """Say no more; what comes back is still heard."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _talk(self) -> None:
        while True:
            await self.room.local_participant.publish_data(str(self.said))
            self.said += 1
            await asyncio.sleep(PERIOD_SECONDS)

    def _on_data(self, packet: rtc.DataPacket) -> None:
        now = time.monotonic()
        if self.heard:
            self._longest = max(self._longest, now - self._last)
        else:
            self._first = int(packet.data)
        self._last = now
        self.heard += 1
        self._first_echo.set()

    def _on_left(self, participant: rtc.RemoteParticipant) -> None:
        self.left += 1
