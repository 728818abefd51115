"""`JobRegistry`: every job of this host, once, from the moment it gets its slot until its process is gone.

Slots, reservations, running jobs, drain, status and recovery read it, and there is no other list of jobs. A slot is
counted against the host and against the agent whose code runs; it is taken before anything is awaited, so `max_jobs: 1`
under fifty offers in a millisecond accepts exactly one.

Runs on the host's loop. The states and what may follow what: `states`.
"""

import asyncio
import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from agenthost.dispatch.registration import Registration
from agenthost.dispatch.token import GUEST_TOKEN_SECONDS
from agenthost.host.generation import Generation
from agenthost.host.guests import GuestList
from agenthost.host.jobs.job import Job
from agenthost.host.jobs.running_job import RunningJob
from agenthost.host.jobs.states import JobState, may_follow
from agenthost.internal_errors import InternalErrors
from agenthost.jobs import Accept
from agenthost.logs.events import EventLogger
from agenthost.metrics import InternalPart, Metrics
from agenthost.processes.cause_of_death import OomWatch

CHECK_SECONDS = 1.0

ASSIGNMENT_SECONDS = 4.0
"""The server assigns an accepted offer within its own 3 s or never; then slot and process are given back."""

MOST_ENDED = 1000
"""So many jobs that have ended are remembered: the server may say something more about them."""


class PastJob(Struct, frozen=True, kw_only=True):
    """A job that was here. `ran`: it was assigned, and the server was told its outcome; else `why` it never was."""

    ran: bool
    why: str


class JobRegistry:
    """`any_forced` tells whether a job was ended before its time; `guests` are who was invited into their rooms."""

    def __init__(self, *, metrics: Metrics, errors: InternalErrors, oom: OomWatch, log: EventLogger) -> None:
        self.any_forced = False
        self.guests = GuestList()
        self._metrics = metrics
        self._errors = errors
        self._oom = oom
        self._log = log
        self._jobs: dict[str, Job] = {}
        self._ended: OrderedDict[str, PastJob] = OrderedDict()
        # Asked for several times an offer, so counted and not looked for: an offer costs the same among 500 jobs.
        self._agents: Counter[str] = Counter()
        self._receivers: Counter[str] = Counter()
        self._rooms: Counter[tuple[str, str]] = Counter()
        self._listeners: list[Callable[[Job], None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._is_draining = False

    def on_end(self, listener: Callable[[Job], None]) -> None:
        """Have `listener` called with every job that has left the registry, whatever became of it."""
        self._listeners.append(listener)

    # ── the life of a job ────────────────────────────────────────────────────────────────────────────────────

    def take(self, job: Job, *, host_limit: int | None, agent_limit: int | None) -> bool:
        """Enter an offered job with its slot. False when a limit is reached, or the job is here already."""
        if job.id in self._jobs or not self.has_room(job.target.id, host_limit=host_limit, agent_limit=agent_limit):
            return False
        self._jobs[job.id] = job
        self._count(job, 1)
        return True

    def accept(self, job: Job, accept: Accept) -> None:
        """The server is told that we run it: it has ASSIGNMENT_SECONDS to assign it."""
        self.move(job, JobState.ACCEPTED)
        job.accept = accept
        job.decided.set()
        job.times = replace(job.times, accepted=time.time())
        loop = asyncio.get_running_loop()
        job.waiting = loop.call_later(ASSIGNMENT_SECONDS, self.withdraw, job, "not assigned in time")
        if self._is_draining:
            self._set_deadline(job)

    def withdraw(self, job: Job, reason: str) -> None:
        """An accepted job that will not be assigned to us: its slot and its process are free again."""
        self._log.warning("job not assigned", agent=job.receiver.id, job_id=job.id, room=job.room, reason=reason)
        self.end(job, reason)

    def start(self, job: Job, running: RunningJob) -> None:
        """The server has assigned it: run it to its end."""
        self.move(job, JobState.STARTING)
        is_first = not self.running()
        job.begin(running)
        task = asyncio.get_running_loop().create_task(self._run(job, running))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if is_first:  # nobody looked while there was no job; the job itself, which is launched first, need not wait
            asyncio.get_running_loop().call_soon(self._oom.look)
        self._changed.set()

    def move(self, job: Job, state: JobState) -> None:
        """Raises RuntimeError for what the table does not allow."""
        if not may_follow(job.state, state):
            raise RuntimeError(f"job {job.id} cannot go from {job.state.value} to {state.value}")
        job.state = state

    def end(self, job: Job, why: str) -> None:
        """It leaves the registry; a process that it did not use goes back to its pool."""
        ran = job.running is not None
        self.move(job, JobState.ENDED)
        del self._jobs[job.id]
        self._count(job, -1)
        job.cancel_timers()
        job.decided.set()
        self._ended.pop(job.id, None)
        self._ended[job.id] = PastJob(ran=ran, why=why)
        if len(self._ended) > MOST_ENDED:
            self._ended.popitem(last=False)
        if not ran:
            self._give_back(job)
        for listener in self._listeners:
            with self._errors.contained(InternalPart.JOB, job_id=job.id):
                listener(job)
        self._changed.set()

    def _give_back(self, job: Job) -> None:
        if job.reserved is None:
            return
        try:
            job.reserved.generation.pool.give_back(job.reserved.process)
        except Exception as error:
            self._errors.note(InternalPart.JOB, error, job_id=job.id)
            job.reserved.process.kill_because("it could not be given back")  # nobody else would end it

    async def _run(self, job: Job, running: RunningJob) -> None:
        try:
            outcome = job.outcome = await running.run()
            self._metrics.job_ended(job.agent, outcome=outcome.kind.value)
        finally:
            self.any_forced = self.any_forced or running.forced
            self.end(job, job.outcome.reason if job.outcome is not None else "the host ended")

    # ── what is there ────────────────────────────────────────────────────────────────────────────────────────

    def find(self, job_id: str) -> Job | None:
        return self._jobs.get(job_id)

    def ended(self, job_id: str) -> PastJob | None:
        """What became of a job that is here no more; None for one of long ago, or of another host."""
        return self._ended.get(job_id)

    def accepted(self) -> tuple[Job, ...]:
        """All jobs that the server believes to be ours."""
        return tuple(job for job in self._jobs.values() if job.is_accepted)

    def running(self) -> tuple[Job, ...]:
        """Those of them that are assigned."""
        return tuple(job for job in self._jobs.values() if job.running is not None)

    def over(self, registration: Registration) -> tuple[Job, ...]:
        """All jobs, offers included, that came in through this registration."""
        return tuple(job for job in self._jobs.values() if job.registration is registration)

    def accepted_of(self, agent: str) -> tuple[tuple[Job, Accept], ...]:
        """The accepted jobs of this agent's code, with what was answered."""
        return tuple((job, job.accept) for job in self._jobs.values() if job.accept and job.target.id == agent)

    def of_agent(self, agent: str) -> int:
        """How many jobs run this agent's code."""
        return sum(job.agent == agent for job in self.running())

    def of_generation(self, generation: Generation) -> int:
        """How many jobs run on this generation of an agent."""
        return sum(job.is_on(generation) for job in self.running())

    def needs(self, generation: Generation) -> bool:
        """Whether a job runs on it, or a process of it is reserved for one."""
        return any(job.is_on(generation) for job in self._jobs.values())

    def has_room(self, agent: str, *, host_limit: int | None, agent_limit: int | None) -> bool:
        """Whether another job of this agent's code would be under both limits."""
        if host_limit is not None and len(self._jobs) >= host_limit:
            return False
        return agent_limit is None or self.slots_of(agent) < agent_limit

    @property
    def slots_used(self) -> int:
        return len(self._jobs)

    def slots_of(self, agent: str) -> int:
        """How many slots jobs of this agent's code have."""
        return self._agents[agent]

    def slots_for(self, receiver: str) -> int:
        """How many slots jobs have that came in through this agent's registration."""
        return self._receivers[receiver]

    def serves(self, receiver: str, room: str) -> bool:
        """Whether this receiver already has a job in the room."""
        return (receiver, room) in self._rooms

    def serves_dispatch(self, dispatch_id: str) -> bool:
        """Whether a job of this dispatch is here."""
        return any(job.offer.dispatch_id == dispatch_id for job in self._jobs.values())

    def _count(self, job: Job, change: int) -> None:
        self._agents[job.target.id] += change
        self._receivers[job.receiver.id] += change
        place = (job.receiver.id, job.room)
        self._rooms[place] += change
        if not self._rooms[place]:
            del self._rooms[place]  # there are always new rooms

    # ── all together ─────────────────────────────────────────────────────────────────────────────────────────

    async def supervise(self) -> None:
        """Check every job once a second while there are any; the owner's task, ended by cancelling it."""
        while True:
            while not self.running():
                self._changed.clear()
                await self._changed.wait()
            await asyncio.sleep(CHECK_SECONDS)
            self._oom.look()
            now = time.monotonic()
            for job in self.running():
                job.check(now)

    def invite(self, room: str) -> str:
        """A new identity for `room`, which every job there has been told of."""
        now, running = time.monotonic(), self.running()
        until = now + GUEST_TOKEN_SECONDS
        identity = self.guests.invite(room, until=until, now=now, busy={job.room for job in running})
        for job in running:
            if job.running is not None and job.room == room:
                job.running.tell_guests()
        return identity

    def drain(self) -> None:
        """From now on every accepted job has the drain deadline of its agent, counted from here or its acceptance."""
        self._is_draining = True
        for job in self.accepted():
            self._set_deadline(job)

    async def wait_ended(self) -> None:
        """Until no accepted job is left."""
        while self.accepted():
            self._changed.clear()
            await self._changed.wait()

    def _set_deadline(self, job: Job) -> None:
        seconds = job.receiver.config.drain_timeout
        if math.isfinite(seconds):
            job.deadline = asyncio.get_running_loop().call_later(seconds, job.stop_within, "drain deadline")
