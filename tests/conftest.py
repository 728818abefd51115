"""Fixtures for all tests: LiveKit servers (a real one, a fake one), real hosts, real participants."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from livekit import api, rtc

from agenthost.livekit_server.build import ensure_installed
from agenthost.livekit_server.locate import find
from agenthost.testing.host_process import AGENTHOST
from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.support.host import HostProcess
from tests.support.protocols import Join, RunHost, Server
from tests.support.real_server import RealLiveKitServer

# No example has a deadline: what a machine does besides is no property of the code.
hypothesis.settings.register_profile("agenthost", deadline=None)
hypothesis.settings.load_profile("agenthost")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that last longest come first: they mostly wait, and the others fill that time on the other workers."""
    items.sort(key=_seconds, reverse=True)


def _seconds(item: pytest.Item) -> float:
    marker = item.get_closest_marker("slow")
    return float(marker.args[0]) if marker and marker.args else 0.0


def pytest_collection_finish(session: pytest.Session) -> None:
    """Have a livekit-server ready before the first end-to-end test: building one outlasts any test's time-out."""
    wanted = any(item.get_closest_marker("e2e") for item in session.items)
    if wanted and not session.config.option.collectonly:
        asyncio.run(ensure_installed(lambda step, detail: None))


@pytest.fixture(scope="session")
def livekit_binary() -> Path:
    """The real livekit-server, the same that `agenthost server path` names."""
    found = find(os.environ)
    assert found is not None, "the end-to-end marker is missing on this test: nobody installed a livekit-server"
    return found


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
    `under` is a command that execs what follows it, in surroundings of its making.
    """
    async with AsyncExitStack() as stack:

        async def run(
            *arguments: str | Path,
            command: str = "start",
            server: Server | None = None,
            cwd: Path | None = None,
            env: Mapping[str, str] | None = None,
            under: Sequence[str] = (),
        ) -> HostProcess:
            variables = (server.environment if server else {}) | dict(env or {})
            program = (*under, *AGENTHOST)
            host = HostProcess(command, *arguments, cwd=cwd or tmp_path, env=variables, program=program)
            stack.push_async_callback(host.close)
            await host.start()
            return host

        yield run


@pytest.fixture(params=["auto", "spawn"])
def start_method(request: pytest.FixtureRequest) -> str:
    """How processes are made: every test that asks for it runs once with each."""
    method: str = request.param
    return method


@pytest.fixture
def run_any_host(run_host: RunHost, start_method: str) -> RunHost:
    """`run_host`, once with forked and once with spawned processes."""

    async def run(*arguments: str | Path, **options: Any) -> HostProcess:
        return await run_host(*arguments, "--set", f"start_method={start_method}", **options)

    return run


@pytest.fixture
async def participant(livekit_server: RealLiveKitServer) -> AsyncIterator[Join]:
    """Join a room of the real server as a person (or an agent); everybody leaves at the end."""
    async with AsyncExitStack() as stack:

        async def join(
            room: str, identity: str = "caller", *, attributes: Mapping[str, str] | None = None, agent: bool = False
        ) -> rtc.Room:
            token = api.AccessToken(livekit_server.api_key, livekit_server.api_secret).with_identity(identity)
            token.with_grants(api.VideoGrants(room_join=True, room=room, agent=agent))
            token.with_attributes(dict(attributes or {})).with_kind("agent" if agent else "standard")
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
