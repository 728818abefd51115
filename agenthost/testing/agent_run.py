"""Running an agenthost file in a test: a real host beside a fake LiveKit server, or beside a real one.

    async with run_agent("agenthost.yaml") as agent:
        job = await agent.offer("vip-7", metadata='{"tier": "gold"}')
        assert job.accepted
        assert job.answer.identity == "support-vip-7"
        end = await job.wait_ended()
        assert end.status is JobStatus.SUCCESS

Runs in the test's process, on its event loop. Everything started here is gone when the block ends, and the block fails
when it is not.
"""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from livekit import api, rtc
from livekit.api.access_token import Claims
from livekit.protocol import models

from agenthost.jobs import EMPTY, JobStatus, JobType
from agenthost.livekit_server.build import ensure_installed
from agenthost.livekit_server.run import LocalServer
from agenthost.testing.host_process import HostProcess, LogLine
from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.testing.values import OfferResult, WorkerAnswer

START_SECONDS = 60.0  # livekit-agents alone takes ten on a busy machine
SETTINGS = ("http.listen=none", "load.cpu=null", "load.memory=null")
"""No port of the machine, and nothing of what else it does: on a busy one the default `cpu: 70%` would refuse jobs."""
ENVIRONMENT = ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnd:
    """How a job ended: its status on the wire, and the error text that goes with a failure."""

    status: JobStatus
    error: str


class OfferedJob:
    """One job that a test offered. `result` has everything the fake server saw of it."""

    def __init__(self, result: OfferResult, server: FakeLiveKitServer, host: HostProcess) -> None:
        self.result = result
        self._server = server
        self._host = host

    @property
    def id(self) -> str:
        return self.result.job_id

    @property
    def accepted(self) -> bool:
        return self.result.assigned

    @property
    def answer(self) -> WorkerAnswer:
        """Identity, name, metadata and attributes that the agent would have in the room."""
        return self.result.answer

    @property
    def log(self) -> list[LogLine]:
        """Every log line of this job so far: the host's, the agent's own, and what it printed."""
        return [line for line in self._host.lines if line.fields.get("job_id") == self.id]

    async def decision(self, *, timeout: float = 5.0) -> Mapping[str, Any]:
        """What the host says about its answer: `rule`, and for a refusal `reason`, `detail` and `terminate`."""
        message = "job accepted" if self.accepted else "offer rejected"
        return (await self._host.wait_event(message, timeout=timeout, job_id=self.id)).fields

    async def wait_status(self, status: JobStatus, *, timeout: float = 10.0) -> None:
        """Until the host has reported this status to the server."""
        await self._server.wait_status(self.id, status, timeout=timeout)

    async def wait_join(self, *, timeout: float = 10.0) -> Claims:
        """Until the job tries to join its room; its token's claims, the permissions in `video`."""
        return await self._server.wait_join(self.answer.identity, timeout=timeout)

    async def wait_ended(self, *, timeout: float = 10.0) -> JobEnd:
        """Until the server was told of the job's end, and the log is complete."""
        last = await self._server.wait_status(self.id, JobStatus.SUCCESS, JobStatus.FAILED, timeout=timeout)
        await self._host.wait_event("job ended", timeout=timeout, job_id=self.id)
        return JobEnd(status=last.status, error=last.error)

    async def end(self, *, timeout: float = 20.0) -> JobEnd:
        """End it as the server does, and wait: an entrypoint that does not return by itself has 15 s of grace.

        The server does so when the job's dispatch is deleted, whether or not the job has joined.
        """
        await self._server.delete_dispatch_of(self.id)
        return await self.wait_ended(timeout=timeout)


class RunningAgent:
    """A host at work beside a fake server. `host` and `server` are there for whatever is not said here."""

    def __init__(self, host: HostProcess, server: FakeLiveKitServer, agents: Mapping[str, str]) -> None:
        self.host = host
        self.server = server
        self._agents = agents

    async def offer(
        self,
        room: str = "test-room",
        *,
        agent: str | None = None,
        metadata: str | Mapping[str, Any] = "",
        attributes: Mapping[str, str] = EMPTY,
        room_metadata: str | Mapping[str, Any] = "",
        type: JobType = JobType.ROOM,
        participant: models.ParticipantInfo | None = None,
    ) -> OfferedJob:
        """Offer one job and wait for the answer.

        `agent` is the id in the file; needed only where the file registers several. Metadata that is a mapping is
        sent as JSON. `participant` is for the types publisher and participant. Raises ValueError for an unknown agent.
        """
        result = await self.server.offer(
            room,
            agent_name=self._agent_name(agent),
            type=type,
            metadata=_text(metadata),
            attributes=attributes,
            room_metadata=_text(room_metadata),
            participant=participant,
        )
        return OfferedJob(result, self.server, self.host)

    def _agent_name(self, agent: str | None) -> str:
        if agent is None and len(self._agents) == 1:
            return next(iter(self._agents.values()))
        if agent is None or agent not in self._agents:
            raise ValueError(f"which agent? this file registers {', '.join(self._agents)}")
        return self._agents[agent]


class AgentOnServer:
    """A host at work beside a real LiveKit server of its own, on loopback."""

    def __init__(self, host: HostProcess, client: api.LiveKitAPI, environment: Mapping[str, str]) -> None:
        self.host = host
        self.api = client
        self._environment = environment
        self._rooms = AsyncExitStack()

    async def dispatch(self, agent_name: str, room: str, *, metadata: str | Mapping[str, Any] = "") -> None:
        """Send a named agent into a room; agents without a name come by themselves when somebody joins."""
        await self.api.agent_dispatch.create_dispatch(
            api.CreateAgentDispatchRequest(agent_name=agent_name, room=room, metadata=_text(metadata))
        )

    async def join(
        self, room: str, identity: str = "caller", *, name: str = "", attributes: Mapping[str, str] = EMPTY
    ) -> rtc.Room:
        """Join a room as a person; everybody leaves at the end of the block."""
        token = api.AccessToken(self._environment["LIVEKIT_API_KEY"], self._environment["LIVEKIT_API_SECRET"])
        token.with_identity(identity).with_name(name).with_attributes(dict(attributes))
        token.with_grants(api.VideoGrants(room_join=True, room=room))
        joined = rtc.Room()
        self._rooms.push_async_callback(joined.disconnect)
        await joined.connect(self._environment["LIVEKIT_URL"], token.to_jwt())
        return joined

    async def leave_all(self) -> None:
        """Everybody who joined leaves."""
        await self._rooms.aclose()


@asynccontextmanager
async def run_agent(
    file: str | Path, *arguments: str, env: Mapping[str, str] = EMPTY, timeout: float = START_SECONDS
) -> AsyncIterator[RunningAgent]:
    """Run `agenthost start FILE ARGUMENTS` beside a fake server, until every agent of the file is registered.

    `env` is added to the environment. Raises AssertionError with the host's output when it does not get that far.
    """
    async with FakeLiveKitServer() as server, _running(_host(file, arguments, server.environment | dict(env))) as host:
        await host.wait_event("host started", timeout=timeout)
        registered = host.events("registered")
        yield RunningAgent(host, server, {line.fields["agent"]: line.fields["agent_name"] for line in registered})


@asynccontextmanager
async def run_agent_on_server(
    file: str | Path, *arguments: str, env: Mapping[str, str] = EMPTY, timeout: float = START_SECONDS
) -> AsyncIterator[AgentOnServer]:
    """The same beside a real LiveKit server, which is built first where there is none (two minutes, once)."""
    binary = await ensure_installed(lambda step, detail: None)
    async with LocalServer(binary, log=lambda line: None) as server:
        environment = dict(zip(ENVIRONMENT, (server.url, server.api_key, server.api_secret), strict=True))
        async with (
            api.LiveKitAPI(server.url, server.api_key, server.api_secret) as client,
            _running(_host(file, arguments, environment | dict(env))) as host,
        ):
            await host.wait_event("host started", timeout=timeout)
            agent = AgentOnServer(host, client, environment)
            try:
                yield agent
            finally:
                await agent.leave_all()


@asynccontextmanager
async def _running(host: HostProcess) -> AsyncIterator[HostProcess]:
    await host.start()
    try:
        yield host
    finally:
        await host.close()


def _host(file: str | Path, arguments: tuple[str, ...], environment: Mapping[str, str]) -> HostProcess:
    path = Path(file).absolute()
    settings = [word for change in SETTINGS for word in ("--set", change)]
    return HostProcess("start", path, *settings, *arguments, cwd=path.parent, env=environment)


def _text(value: str | Mapping[str, Any]) -> str:
    return value if isinstance(value, str) else json.dumps(value)
