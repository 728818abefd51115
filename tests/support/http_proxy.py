"""A plain HTTP proxy on 127.0.0.1, for hosts that are to reach their server through one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tests.support.name_service import NAME


class Proxy:
    """It notes where it was asked to go, and knows where NAME is; `refuses`: it answers 407."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.targets: list[str] = []
        self.url = ""
        self._refuses = refuses

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Proxy"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, version = head.split(b"\r\n", 1)[0].split(b" ")
        self.targets.append(target.decode())
        if self._refuses:
            writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            writer.close()
            return
        host, port, path = self._where(method, target.decode())
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1" if host == NAME else host, port)
        if method == b"CONNECT":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        else:
            up_writer.write(b" ".join([method, path.encode(), version]) + head[head.index(b"\r\n") :])
        await asyncio.gather(self._pipe(reader, up_writer), self._pipe(up_reader, writer))

    @staticmethod
    def _where(method: bytes, target: str) -> tuple[str, int, str]:
        parts = urlsplit(f"//{target}" if method == b"CONNECT" else target)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port, parts.path

    @staticmethod
    async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
        except ConnectionError:
            pass  # either side may break the connection
        writer.close()
