"""A TCP link to a LiveKit server on which the connections of rooms can break while those of workers stay."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class RoomLink:
    """`port` is where to find the server. While `broken`, clients of rooms (`/rtc`) are cut off and turned away."""

    def __init__(self) -> None:
        self.port = 0
        self._broken = False
        self._rooms: set[asyncio.StreamWriter] = set()

    @contextlib.asynccontextmanager
    async def to(self, port: int) -> AsyncIterator["RoomLink"]:
        """Open it to a server's port."""

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            request = await reader.readline()
            is_room = b"/rtc" in request
            if is_room and self._broken:
                writer.close()
                return
            there, back = await asyncio.open_connection("127.0.0.1", port)
            back.write(request)
            ends = {writer, back}
            if is_room:
                self._rooms |= ends
            await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))
            self._rooms -= ends

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.break_rooms()

    def break_rooms(self) -> None:
        self._broken = True
        for writer in self._rooms:
            writer.transport.abort()

    def mend(self) -> None:
        self._broken = False


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # one end was cut: so is the other
    finally:
        writer.close()
