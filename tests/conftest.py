"""Fixtures for all tests: LiveKit servers (a real one, a fake one), real hosts, real participants."""

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import pytest
from livekit import api, rtc

from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.support.host import HostProcess
from tests.support.real_server import RealLiveKitServer


class Server(Protocol):
    """What a client needs to know about a LiveKit server, real or fake."""

    api_key: str
    api_secret: str

    @property
    def url(self) -> str: ...

    @property
    def environment(self) -> dict[str, str]: ...


class RunHost(Protocol):
    """`await run_host(file)`: see the fixture."""

    async def __call__(
        self,
        *arguments: str | Path,
        command: str = "start",
        server: Server | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> HostProcess: ...


class Join(Protocol):
    """`await participant("room")`: see the fixture."""

    async def __call__(
        self, room: str, identity: str = "caller", *, attributes: Mapping[str, str] | None = None
    ) -> rtc.Room: ...


@pytest.fixture(scope="session")
def livekit_binary() -> Path:
    """The real livekit-server; installed first where it is missing, so that no test ever skips for want of it."""
    return Path(os.environ["AGENTHOST_LIVEKIT_SERVER"])


@pytest.fixture(scope="session")
def livekit_server(livekit_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealLiveKitServer]:
    """A real livekit-server, one for each test process. Use room and agent names of your own."""
    with RealLiveKitServer(livekit_binary, tmp_path_factory.mktemp("livekit")) as server:
        yield server


@pytest.fixture
async def fake_server() -> AsyncIterator[FakeLiveKitServer]:
    """A fresh fake server on this test's loop."""
    async with FakeLiveKitServer() as server:
        yield server


@pytest.fixture
async def run_host(tmp_path: Path) -> AsyncIterator[RunHost]:
    """Start `agenthost <command> <arguments>`; at the end it is stopped, and no process of it may have survived.

    `server` puts its three variables into the environment, `env` adds to it; `cwd` defaults to the test's folder.
    """
    async with AsyncExitStack() as stack:

        async def run(
            *arguments: str | Path,
            command: str = "start",
            server: Server | None = None,
            cwd: Path | None = None,
            env: Mapping[str, str] | None = None,
        ) -> HostProcess:
            variables = (server.environment if server else {}) | dict(env or {})
            host = HostProcess(command, *arguments, cwd=cwd or tmp_path, env=variables)
            stack.push_async_callback(host.close)
            await host.start()
            return host

        yield run


@pytest.fixture
async def participant(livekit_server: RealLiveKitServer) -> AsyncIterator[Join]:
    """Join a room of the real server as a person; everybody leaves at the end."""
    async with AsyncExitStack() as stack:

        async def join(room: str, identity: str = "caller", *, attributes: Mapping[str, str] | None = None) -> rtc.Room:
            token = api.AccessToken(livekit_server.api_key, livekit_server.api_secret).with_identity(identity)
            token.with_grants(api.VideoGrants(room_join=True, room=room)).with_attributes(dict(attributes or {}))
            joined = rtc.Room()
            stack.push_async_callback(joined.disconnect)
            await joined.connect(livekit_server.url, token.to_jwt())
            return joined

        yield join


@pytest.fixture
async def livekit_api(livekit_server: RealLiveKitServer) -> AsyncIterator[api.LiveKitAPI]:
    """The server API of the real server, with all rights."""
    async with api.LiveKitAPI(livekit_server.url, livekit_server.api_key, livekit_server.api_secret) as client:
        yield client
