"""The servers that a campaign is played in front of: the fake one and a real one, both at the far end of a link."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Protocol

from livekit import api

from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.support.link import Link
from tests.support.real_server import RealLiveKitServer

AGENT = "chaos"


class Stage(Protocol):
    """`environment` is the host's, `link` what lies between."""

    link: Link
    environment: Mapping[str, str]

    async def call(self, room: str, seconds: float) -> None:
        """Dispatch the agent to a room of its own for a job of so many seconds, whatever becomes of it."""

    async def restart(self) -> None:
        """End the server at once, and start it again."""

    def ends_told(self, job_id: str) -> int:
        """How many ends of a job the host has told the server; at most 1 where the server does not say."""


class FakeStage:
    def __init__(self, server: FakeLiveKitServer, link: Link) -> None:
        self.link = link
        self.environment = {**server.environment, "LIVEKIT_URL": f"ws://127.0.0.1:{link.port}"}
        self._server = server

    async def call(self, room: str, seconds: float) -> None:
        await self._server.offer(room, agent_name=AGENT, metadata=f"{seconds} stay")

    async def restart(self) -> None:
        await self._server.restart()

    def ends_told(self, job_id: str) -> int:
        return sum(update.status.value != "running" for update in self._server.statuses(job_id))


class RealStage:
    """Jobs join their rooms; calls made while the server is away are no calls."""

    def __init__(self, server: RealLiveKitServer, link: Link, client: api.LiveKitAPI) -> None:
        self.link = link
        self.environment = {**server.environment, "LIVEKIT_URL": f"ws://127.0.0.1:{link.port}"}
        self._server = server
        self._client = client

    async def call(self, room: str, seconds: float) -> None:
        request = api.CreateAgentDispatchRequest(agent_name=AGENT, room=room, metadata=f"{seconds} join")
        with contextlib.suppress(OSError, api.TwirpError):
            await self._client.agent_dispatch.create_dispatch(request)

    async def restart(self) -> None:
        self._server.kill()
        await asyncio.to_thread(self._server.start)

    def ends_told(self, job_id: str) -> int:
        return 0


@contextlib.asynccontextmanager
async def fake_stage() -> AsyncIterator[Stage]:
    async with FakeLiveKitServer() as server, Link().to(server.port) as link:
        yield FakeStage(server, link)


@contextlib.asynccontextmanager
async def real_stage(binary: Path, folder: Path) -> AsyncIterator[Stage]:
    with RealLiveKitServer(binary, folder) as server:
        async with (
            Link().to(server.port) as link,
            api.LiveKitAPI(server.url, server.api_key, server.api_secret) as client,
        ):
            yield RealStage(server, link, client)
