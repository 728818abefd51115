"""A TCP link between a host and its server that can be cut and made slow. On 127.0.0.1, on the loop of the test."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Link:
    """`port` is where the host finds the server; `delay` holds back each piece of what goes through, in seconds."""

    def __init__(self) -> None:
        self.port = 0
        self.delay = 0.0
        self._writers: set[asyncio.StreamWriter] = set()

    @contextlib.asynccontextmanager
    async def to(self, port: int) -> AsyncIterator["Link"]:
        """Open it to a server's port."""

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._connect(reader, writer, port)

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.cut()

    def cut(self) -> None:
        """Break every connection that there is, without a goodbye."""
        for writer in self._writers:
            writer.transport.abort()

    async def _connect(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, first: bytes = b""
    ) -> None:
        """Serve one client until an end is closed; `first` was read of what it says."""
        try:
            there, back = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()  # the server is away
            return
        back.write(first)
        await asyncio.gather(self._pass_on(reader, back), self._pass_on(there, writer))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while data := await reader.read(65536):
                if self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(data)
                await writer.drain()
        except OSError:
            pass  # one end was cut: so is the other
        finally:
            self._writers.discard(writer)
            writer.close()
