"""All jobs of the host from their assignment on: started, found by id, checked once a second, ended together.

Runs on the host's loop.
"""

import asyncio
import time
from collections.abc import Callable

from agenthost.config.model import Permissions
from agenthost.dispatch.registration import Registration
from agenthost.dispatch.token import GUEST_TOKEN_SECONDS, Credentials
from agenthost.host.generation import Generation
from agenthost.host.guests import GuestList
from agenthost.host.hosted_agent import HostedAgent
from agenthost.host.job_order import JobOrder
from agenthost.host.running_job import RunningJob
from agenthost.jobs import Assignment, JobOutcome, JobStatus
from agenthost.logs.events import EventLogger
from agenthost.metrics import Metrics
from agenthost.processes.cause_of_death import OomWatch
from agenthost.processes.job_process import JobProcess
from agenthost.recovery.values import attempt_of

CHECK_SECONDS = 1.0


class RunningJobs:
    """`idle` is set while there is none; `any_forced` tells whether a job was ended before its time.

    `told` is called with every job whose process is gone, its outcome, and the registration that it came over.
    """

    def __init__(self, *, metrics: Metrics, log: EventLogger, oom: OomWatch, on_end: Callable[[], None]) -> None:
        self._on_end = on_end
        self._metrics = metrics
        self._log = log
        self._jobs: dict[str, RunningJob] = {}
        self._registrations: dict[str, Registration] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self.idle = asyncio.Event()
        self.idle.set()
        self.any_forced = False
        self.told: Callable[[RunningJob, JobOutcome, Registration], None] = lambda job, outcome, registration: None
        self._oom = oom
        self._guests = GuestList()

    def start(
        self,
        assignment: Assignment,
        registration: Registration,
        *,
        receiver: HostedAgent,
        target: HostedAgent,
        generation: Generation,
        process: JobProcess,
        permissions: Permissions,
        done: Callable[[], None],
    ) -> None:
        """Run the assigned job; `done` is called when its process is gone and its outcome was reported."""
        server = registration.key.server
        order = JobOrder(
            assignment=assignment,
            worker_id=registration.worker_id,
            agent=target.id,
            receiver=receiver.id,
            generation=generation.number,
            url=server.url,
            credentials=Credentials(api_key=server.api_key, api_secret=server.api_secret),
            permissions=permissions,
            limits=target.config.limits,
            settings=target.config.settings,
            drain_timeout=receiver.config.drain_timeout,
            secret_in_job=generation.sees_secret,
            attempt=1 + attempt_of(assignment.offer.attributes),
            session_host=target.config.session_host,
        )

        def report(status: JobStatus, error: str) -> None:
            registration.report_job(order.job_id, status, error)

        job = RunningJob(order, process, guests=self._guests, reserve=target.reserve, report=report, log=self._log)
        self._begin(job, registration, done)

    def _begin(self, job: RunningJob, registration: Registration, done: Callable[[], None]) -> None:
        unwatched = not self._jobs
        self._jobs[job.order.job_id] = job
        self._registrations[job.order.job_id] = registration
        self.idle.clear()
        self._changed.set()
        task = asyncio.get_running_loop().create_task(self._run(job, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if unwatched:  # nobody looked while there was no job; the job itself, which is launched first, need not wait
            asyncio.get_running_loop().call_soon(self._oom.look)

    def invite(self, room: str) -> str:
        """A new identity for `room`, which every job there has been told of."""
        now, rooms = time.monotonic(), {job.order.room for job in self.all()}
        identity = self._guests.invite(room, until=now + GUEST_TOKEN_SECONDS, now=now, busy=rooms)
        for job in self.all():
            if job.order.room == room:
                job.tell_guests()
        return identity

    def stop(self, job_id: str, reason: str) -> None:
        """End one job politely; a job that is gone already is none of our business."""
        job = self._jobs.get(job_id)
        if job is not None:
            job.stop(reason)

    def find(self, job_id: str) -> tuple[RunningJob, Registration] | None:
        """A job and the registration that it came over; None when it is gone."""
        job = self._jobs.get(job_id)
        return None if job is None else (job, self._registrations[job_id])

    def all(self) -> tuple[RunningJob, ...]:
        return tuple(self._jobs.values())

    def with_registrations(self) -> tuple[tuple[RunningJob, Registration], ...]:
        """All jobs, each with the registration that it came over."""
        return tuple((job, self._registrations[key]) for key, job in self._jobs.items())

    def of_agent(self, agent: str) -> int:
        """How many jobs run this agent's code."""
        return sum(job.order.agent == agent for job in self._jobs.values())

    def of_generation(self, agent: str, number: int) -> int:
        """How many jobs run on this generation of an agent."""
        return sum((job.order.agent, job.order.generation) == (agent, number) for job in self._jobs.values())

    def generations(self, agent: str) -> frozenset[int]:
        """The generations of an agent that jobs run on."""
        return frozenset(job.order.generation for job in self._jobs.values() if job.order.agent == agent)

    def over(self, registration: Registration) -> int:
        """How many of the jobs that run came in through this registration."""
        return sum(one is registration for one in self._registrations.values())

    async def supervise(self) -> None:
        """Check every job once a second while there are any; the owner's task, ended by cancelling it."""
        while True:
            if not self._jobs:
                self._changed.clear()
                await self._changed.wait()
            await asyncio.sleep(CHECK_SECONDS)
            self._oom.look()
            now = time.monotonic()
            for job in self.all():
                job.check(now)

    async def _run(self, job: RunningJob, done: Callable[[], None]) -> None:
        outcome: JobOutcome = await job.run()
        self.any_forced = self.any_forced or job.forced
        del self._jobs[job.order.job_id]
        registration = self._registrations.pop(job.order.job_id)
        self._metrics.job_ended(job.order.agent, outcome=outcome.kind.value)
        done()
        self.told(job, outcome, registration)
        self._on_end()
        if not self._jobs:
            self.idle.set()
