"""`Job`: everything this host knows of one job, from its offer to its end. Runs on the host's loop.

Made when an offer gets its slot, and filled as the server and the processes go on. Only `JobRegistry`, which has every
job once, changes its state.
"""

import asyncio
import time

from msgspec import Struct

from agenthost.dispatch.registration import Registration
from agenthost.host.generation import Generation
from agenthost.host.hosted_agent import HostedAgent
from agenthost.host.jobs.running_job import RunningJob
from agenthost.host.jobs.states import JobState
from agenthost.jobs import Accept, DispatchTimes, JobOutcome, Offer
from agenthost.processes.job_process import JobProcess
from agenthost.rules import Decision


class Reservation(Struct, frozen=True, kw_only=True):
    """A started process that is kept for a job, of the generation it will run on."""

    generation: Generation
    process: JobProcess


class _EndBy(Struct, frozen=True):
    """It shall have ended at that time of the loop's clock."""

    reason: str
    at: float


class Job:
    """`receiver` is the agent whose registration was asked, `target` the one whose code runs.

    reserved  its process, from before it is accepted on
    accept    what the server was told
    running   its life in its process, once it is assigned
    outcome   how that ended
    decided   is set when its offer is answered
    waiting   for its assignment, no longer than this
    deadline  of the drain
    """

    def __init__(
        self,
        offer: Offer,
        decision: Decision,
        *,
        registration: Registration,
        receiver: HostedAgent,
        target: HostedAgent,
    ) -> None:
        self.state = JobState.OFFERED
        self.offer = offer
        self.decision = decision
        self.registration = registration
        self.receiver = receiver
        self.target = target
        self.times = DispatchTimes(received=time.time())
        self.reserved: Reservation | None = None
        self.accept: Accept | None = None
        self.running: RunningJob | None = None
        self.outcome: JobOutcome | None = None
        self.decided = asyncio.Event()
        self.waiting: asyncio.TimerHandle | None = None
        self.deadline: asyncio.TimerHandle | None = None
        self._end_by: _EndBy | None = None

    @property
    def id(self) -> str:
        return self.offer.job_id

    @property
    def room(self) -> str:
        """The room's name."""
        return self.offer.room.name

    @property
    def agent(self) -> str:
        """The id of the agent whose code runs, or is to."""
        return self.target.id if self.running is None else self.running.spec.agent

    @property
    def is_accepted(self) -> bool:
        """The server was told that this host runs it, and it has not ended."""
        return self.state not in (JobState.OFFERED, JobState.ENDED)

    def is_on(self, generation: Generation) -> bool:
        return self.reserved is not None and self.reserved.generation is generation

    def check(self, now: float) -> None:
        """Once a second: act on what its times and its memory say."""
        if self.running is None:
            return
        try:
            self.running.check(now)
        except Exception as error:
            self.running.fail(error)

    def cancel_timers(self) -> None:
        for timer in (self.waiting, self.deadline):
            if timer is not None:
                timer.cancel()

    def begin(self, running: RunningJob) -> None:
        """It is assigned, and runs; what it was told before holds."""
        if self.waiting is not None:
            self.waiting.cancel()
        self.running = running
        if self._end_by is not None:
            running.stop_within(self._end_by.reason, max(0.0, self._end_by.at - asyncio.get_running_loop().time()))

    def stop_within(self, reason: str) -> None:
        """End it, everything together in its `limits.shutdown`; one that is not assigned yet, once it is."""
        seconds = self.target.config.limits.shutdown if self.running is None else self.running.spec.limits.shutdown
        if self.running is not None:
            self.running.stop_within(reason, seconds)
        elif self._end_by is None:
            self._end_by = _EndBy(reason, asyncio.get_running_loop().time() + seconds)
