"""A link to a LiveKit server on which the connections of rooms can break while those of workers stay."""

import asyncio

from tests.support.link import Link


class RoomLink(Link):
    """While it is broken, clients of rooms (`/rtc`) are cut off and turned away."""

    def __init__(self) -> None:
        super().__init__()
        self._broken = False
        self._rooms: set[asyncio.StreamWriter] = set()

    def break_rooms(self) -> None:
        self._broken = True
        for writer in self._rooms:
            writer.transport.abort()

    def mend(self) -> None:
        self._broken = False

    async def _connect(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, first: bytes = b""
    ) -> None:
        request = await reader.readline()
        if b"/rtc" not in request:
            await super()._connect(reader, writer, port, first + request)
        elif self._broken:
            writer.close()
        else:
            self._rooms.add(writer)
            await super()._connect(reader, writer, port, first + request)
            self._rooms.discard(writer)
