"""A small hand-made worker: speaks the agent protocol from the worker's side, to hold against any LiveKit server."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any

import aiohttp
from livekit import api
from livekit.protocol import agent, models

from agenthost.testing.changes import Changes

Answer = Callable[[agent.Job], Awaitable[agent.AvailabilityResponse | None]]


def accept(*, after: float = 0.0, name: str = "", attributes: Mapping[str, str] | None = None) -> Answer:
    """Take every job, `after` so many seconds."""

    async def answer(job: agent.Job) -> agent.AvailabilityResponse:
        await asyncio.sleep(after)
        return agent.AvailabilityResponse(
            job_id=job.id,
            available=True,
            participant_identity=f"agent-{job.id}",
            participant_name=name,
            participant_attributes=attributes,
        )

    return answer


def reject(*, terminate: bool = False) -> Answer:
    """Take no job; `terminate`: and nobody else shall be asked."""

    async def answer(job: agent.Job) -> agent.AvailabilityResponse:
        return agent.AvailabilityResponse(job_id=job.id, available=False, terminate=terminate)

    return answer


def ignore() -> Answer:
    """Never answer."""

    async def answer(job: agent.Job) -> None:
        return None

    return answer


class Worker:
    """One registration. `offers`, `assignments`, `terminations` and `pongs` are what came, oldest first."""

    def __init__(
        self,
        server_url: str,
        api_key: str,
        api_secret: str,
        *,
        agent_name: str,
        answer: Answer,
        type: agent.JobType = agent.JobType.JT_ROOM,
        permissions: models.ParticipantPermission | None = None,
        deployment: str = "",
    ) -> None:
        self.offers: list[agent.Job] = []
        self.assignments: list[agent.JobAssignment] = []
        self.terminations: list[str] = []
        self.pongs: list[agent.WorkerPong] = []
        self.worker_id = ""
        self._url = server_url
        self._token = api.AccessToken(api_key, api_secret).with_grants(api.VideoGrants(agent=True)).to_jwt()
        self._registration = agent.RegisterWorkerRequest(
            type=type, agent_name=agent_name, version="1", allowed_permissions=permissions, deployment=deployment
        )
        self._answer = answer
        self._changes = Changes()
        self._closed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Worker":
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(aiohttp.ClientSession())
            headers = {"Authorization": f"Bearer {self._token}"}
            self._socket = await stack.enter_async_context(session.ws_connect(f"{self._url}/agent", headers=headers))
            self._stack = stack.pop_all()
        await self.send(agent.WorkerMessage(register=self._registration))
        self._start(self._read())
        await self.wait(lambda: self.worker_id, "the answer to register")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await self._stack.aclose()

    async def send(self, message: agent.WorkerMessage) -> None:
        await self._socket.send_bytes(message.SerializeToString())

    async def send_raw(self, data: bytes) -> None:
        await self._socket.send_bytes(data)

    async def report(self, *, load: float, available: bool = True) -> None:
        """Report load and status, and wait until the server must have read them (a ping comes back)."""
        status = agent.WorkerStatus.WS_AVAILABLE if available else agent.WorkerStatus.WS_FULL
        await self.send(agent.WorkerMessage(update_worker=agent.UpdateWorkerStatus(status=status, load=load)))
        await self.ping()

    async def report_job(self, job_id: str, status: agent.JobStatus, error: str = "") -> None:
        update = agent.UpdateJobStatus(job_id=job_id, status=status, error=error)
        await self.send(agent.WorkerMessage(update_job=update))
        await self.ping()

    async def ping(self) -> agent.WorkerPong:
        """A round trip: what was sent before has been read when it returns."""
        count = len(self.pongs)
        await self.send(agent.WorkerMessage(ping=agent.WorkerPing(timestamp=4711)))
        await self.wait(lambda: len(self.pongs) > count, "a pong")
        return self.pongs[-1]

    async def wait(self, condition: Callable[[], object], what: str, *, timeout: float = 8.0) -> None:
        await self._changes.wait_for(
            lambda: True if condition() else None, timeout=timeout, what=lambda: f"{what} did not come"
        )

    async def wait_closed(self) -> None:
        """Until the server closed the socket."""
        async with asyncio.timeout(8):
            await self._closed.wait()

    async def _read(self) -> None:
        async for frame in self._socket:
            if frame.type is aiohttp.WSMsgType.BINARY:
                self._take(agent.ServerMessage.FromString(frame.data))
                self._changes.notify()
        self._closed.set()

    def _take(self, message: agent.ServerMessage) -> None:
        match message.WhichOneof("message"):
            case "register":
                self.worker_id = message.register.worker_id
            case "availability":
                self.offers.append(message.availability.job)
                self._start(self._reply(message.availability.job))
            case "assignment":
                self.assignments.append(message.assignment)
            case "termination":
                self.terminations.append(message.termination.job_id)
            case "pong":
                self.pongs.append(message.pong)

    async def _reply(self, job: agent.Job) -> None:
        if (answer := await self._answer(job)) is not None:
            await self.send(agent.WorkerMessage(availability=answer))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
