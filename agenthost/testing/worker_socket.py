"""One worker's websocket as the server sees it: registration, load reports, offers and the jobs it was given.

Runs in the test's process. Only the dispatcher decides which worker is asked; here is what one socket knows.
"""

import asyncio
import time

from aiohttp import web
from livekit.protocol import agent

from agenthost.jobs import JobType
from agenthost.testing.values import TYPES, LoadReport, new_id

WorkerKey = tuple[str, str, JobType, str]


class WorkerGone(Exception):
    """The worker's socket closed before it answered; another worker may be asked."""


class ConnectedWorker:
    """A registered worker. Public attributes may be read by tests, never set.

    registered_at  seconds of time.monotonic()
    reports        every load report, oldest first
    jobs           the jobs that this server would still heed a status for, by id
    """

    def __init__(self, socket: web.WebSocketResponse, registration: agent.RegisterWorkerRequest) -> None:
        self.id = new_id("AW")
        self.registration = registration
        self.registered_at = time.monotonic()
        self.reports: list[LoadReport] = []
        self.jobs: dict[str, agent.Job] = {}
        self._socket = socket
        self._answers: dict[str, asyncio.Future[agent.AvailabilityResponse]] = {}
        self._available = True
        self._load = 0.0
        self._frozen = False

    @property
    def agent_name(self) -> str:
        return self.registration.agent_name

    @property
    def type(self) -> JobType:
        return TYPES[self.registration.type]

    @property
    def key(self) -> WorkerKey:
        """Workers of one key serve the same jobs."""
        return (self.agent_name, self.registration.namespace, self.type, self.registration.deployment)

    @property
    def available(self) -> bool:
        """The last status reported; a worker that reported none is available, as on the real server."""
        return self._available

    @property
    def load(self) -> float:
        return self._load

    async def send(self, message: agent.ServerMessage) -> None:
        """Raises WorkerGone when the socket is closed; a frozen socket swallows everything."""
        await self.send_raw(message.SerializeToString())

    async def send_raw(self, data: bytes) -> None:
        """The same for bytes that need not be a message."""
        if self._frozen:
            return
        try:
            await self._socket.send_bytes(data)
        except (ConnectionError, RuntimeError) as error:  # aiohttp raises RuntimeError for a closing transport
            raise WorkerGone(self.id) from error

    async def ask(self, job: agent.Job) -> agent.AvailabilityResponse:
        """Offer a job and wait for the answer, without limit. Raises WorkerGone."""
        answer: asyncio.Future[agent.AvailabilityResponse] = asyncio.get_running_loop().create_future()
        self._answers[job.id] = answer
        try:
            await self.send(agent.ServerMessage(availability=agent.AvailabilityRequest(job=job)))
            return await answer
        finally:
            self._answers.pop(job.id, None)

    async def assign(self, job: agent.Job, token: str) -> None:
        """Give it the job. Raises WorkerGone."""
        self.jobs[job.id] = job
        await self.send(agent.ServerMessage(assignment=agent.JobAssignment(job=job, token=token)))

    async def terminate(self, job_id: str) -> bool:
        """Ask it to end the job; False when this server does not know (any more) that it runs there."""
        if self.jobs.pop(job_id, None) is None:
            return False
        await self.send(agent.ServerMessage(termination=agent.JobTermination(job_id=job_id)))
        return True

    def take_answer(self, answer: agent.AvailabilityResponse) -> None:
        """An answer arrived; one that nobody waits for (too late, unknown job) is dropped."""
        waiting = self._answers.get(answer.job_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def take_report(self, update: agent.UpdateWorkerStatus) -> None:
        if update.HasField("status"):
            self._available = update.status == agent.WorkerStatus.WS_AVAILABLE
        self._load = update.load
        self.reports.append(
            LoadReport(
                available=self._available,
                load=update.load,
                job_count=update.job_count,
                draining=update.draining,
                at=time.monotonic(),
            )
        )

    def freeze(self) -> None:
        """From now on nothing arrives and nothing leaves, while the connection looks open to both ends."""
        self._frozen = True

    def gone(self) -> None:
        """The socket closed: offers under way fail, and its jobs are forgotten."""
        self.jobs.clear()
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.set_exception(WorkerGone(self.id))
