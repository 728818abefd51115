"""TLS in front of a server that has none, with certificates of a private CA. On 127.0.0.1, on the test's own loop."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import trustme

HOST = "127.0.0.1"


class PrivateCA:
    """`file` is its certificate: who trusts it names it in SSL_CERT_FILE."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "private-ca.pem"
        self._ca = trustme.CA()
        self._ca.cert_pem.write_to_path(str(self.file))

    def context(self, name: str = HOST) -> ssl.SSLContext:
        """What a server shows who calls itself `name`."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._ca.issue_cert(name).configure_cert(context)
        return context


class TlsFront:
    """Ends TLS and hands on to a plain port. `url` is where; `connections` counts the handshakes that went well."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.url = ""
        self.connections = 0
        self._context = context

    @contextlib.asynccontextmanager
    async def to(self, port: int) -> AsyncIterator["TlsFront"]:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            there, back = await asyncio.open_connection(HOST, port)
            await asyncio.gather(_pass_on(reader, back), _pass_on(there, writer))

        server = await asyncio.start_server(connected, HOST, 0, ssl=self._context)
        self.url = f"wss://{HOST}:{server.sockets[0].getsockname()[1]}"
        async with server:
            yield self


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):  # either side may break it
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


@contextlib.asynccontextmanager
async def deaf_port() -> AsyncIterator[int]:
    """A port that takes connections and never says a word: the TLS handshake does not end."""
    held: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda reader, writer: held.append(writer), HOST, 0)
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for writer in held:
            writer.transport.abort()
