"""A host behind an HTTP proxy: it registers through it, and says so when the proxy refuses."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.support.host import write_agent
from tests.support.protocols import RunHost

CODE = """
async def entrypoint(ctx):
    pass
"""

YAML = """
version: 1
agent_name: behind
entrypoint: my_agent:entrypoint
load: { max_jobs: 10 }
http: { listen: none }
"""


class Proxy:
    """A plain HTTP proxy on 127.0.0.1 that notes where it was asked to go; `refuses`: it answers 407."""

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
        up_reader, up_writer = await asyncio.open_connection(host, port)
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


@pytest.mark.parametrize("how", ["the file", "the environment"])
async def test_host_registers_through_its_proxy(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost, how: str
) -> None:
    """`livekit.proxy`, or HTTP_PROXY where the file says nothing: the websocket goes through it, and jobs run."""
    async with Proxy().open() as proxy:
        in_file = f"livekit: {{ proxy: '{proxy.url}' }}\n" if how == "the file" else ""
        env = {} if in_file else {"HTTP_PROXY": proxy.url}
        host = await run_host(write_agent(tmp_path, CODE, YAML + in_file), server=fake_server, env=env)
        await host.wait_event("registered")
        assert [f"127.0.0.1:{fake_server.port}" in target for target in proxy.targets] == [True]
        assert (await fake_server.offer("room", agent_name="behind")).assigned
        await host.close()


async def test_refusing_proxy_is_no_refusal_of_the_credentials(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> None:
    """407 comes from the proxy: the host goes on trying, and the log has the status."""
    async with Proxy(refuses=True).open() as proxy:
        host = await run_host(write_agent(tmp_path, CODE, YAML), server=fake_server, env={"HTTP_PROXY": proxy.url})
        lost = await host.wait_event("registration lost", count=2)
        assert "407" in lost.fields["reason"]
