"""A process that runs at most one job, as the host sees it.

    STARTING ──ready──▶ IDLE ──reserve──▶ RESERVED ──launch──▶ RUNNING ──stop, or by itself──▶ STOPPING
        └───────────────reserve───────────────▲
    STARTING, IDLE, RESERVED ──discard──▶ STOPPING          every state ──the process ends──▶ EXITED

Runs on the host's loop. It owns the kill ladder: ask (StopJob), then SIGKILL when the time for it is over. SIGTERM has
no step of its own, since job processes leave ending to the host.
"""

import asyncio
from collections.abc import Callable
from enum import Enum

from agenthost.errors import ProcessFailed
from agenthost.ipc.messages import (
    Connected,
    Ended,
    GuestSeen,
    Heartbeat,
    InitFailed,
    Message,
    Ready,
    Reserved,
    Started,
    StartJob,
    StopJob,
    Stopping,
)
from agenthost.processes.child_process import ChildProcess, InitFailure
from agenthost.processes.home import ProcessHome


class JobProcessState(Enum):
    STARTING = "starting"
    IDLE = "idle"
    RESERVED = "reserved"
    RUNNING = "running"
    STOPPING = "stopping"
    EXITED = "exited"


_NEXT = {
    JobProcessState.STARTING: {JobProcessState.IDLE, JobProcessState.RESERVED},
    JobProcessState.IDLE: {JobProcessState.RESERVED},
    JobProcessState.RESERVED: {JobProcessState.IDLE, JobProcessState.RUNNING},
    JobProcessState.RUNNING: set(),
    JobProcessState.STOPPING: set(),
}


class JobProcess(ChildProcess):
    """`on_message` gets what a running job says; `running` is done when its entrypoint is called.

    `died_idle`: it ended by itself, or was killed from outside, while it waited for a job.
    """

    def __init__(self, *, number: int, agent: str, home: ProcessHome) -> None:
        super().__init__(number=number, agent=agent, home=home)
        loop = asyncio.get_running_loop()
        self.state = JobProcessState.STARTING
        self.running: asyncio.Future[None] = loop.create_future()
        self.last_words: Ended | None = None
        self.init_failure: InitFailed | None = None
        self.died_idle = False
        self.on_message: Callable[[Message], None] = _unheard
        self._kill_timer: asyncio.TimerHandle | None = None
        self.running.add_done_callback(lambda future: future.cancelled() or future.exception())
        self.ended.add_done_callback(self._on_ended)

    @property
    def is_ready(self) -> bool:
        """Prewarm is done, and it lives."""
        return self.ready.done() and not self.ready.cancelled() and self.ready.exception() is None

    @property
    def is_ending(self) -> bool:
        """It was told to end, or is dead already."""
        return self.state in (JobProcessState.STOPPING, JobProcessState.EXITED)

    def move(self, state: JobProcessState) -> None:
        ending = state in (JobProcessState.STOPPING, JobProcessState.EXITED)
        if self.state is JobProcessState.EXITED or not (ending or state in _NEXT[self.state]):
            raise RuntimeError(f"a job process cannot go from {self.state.value} to {state.value}")
        self.state = state

    def reserve(self) -> None:
        """For one job. It is told, now or when it is ready: it can prepare for it while the server answers."""
        self.move(JobProcessState.RESERVED)
        if self.is_ready:
            self.send(Reserved())

    def launch(self, job: StartJob) -> None:
        """Give it its job. It may still be in its prewarm: it reads the job when it is ready.

        Raises ProcessFailed when it has died since it was reserved.
        """
        if self.is_ending:
            raise ProcessFailed("the process died before it was given its job")
        self.move(JobProcessState.RUNNING)
        self.bind_output(job_id=job.job_id, room=job.room)
        self.send(job)

    def stop(
        self, reason: str, *, grace_seconds: float, kill_after: float, budget_seconds: float | None = None
    ) -> None:
        """Ask the job to end; kill it if it has not `kill_after` seconds from now. A later call may only shorten."""
        if self.state is JobProcessState.EXITED:
            return
        if self.state is JobProcessState.RUNNING:
            self.move(JobProcessState.STOPPING)
        self.send(StopJob(reason=reason, grace_seconds=grace_seconds, budget_seconds=budget_seconds))
        self.kill_in(kill_after, f"did not end within {kill_after:.0f} s of being asked to ({reason})")

    def kill_in(self, seconds: float, because: str) -> None:
        """SIGKILL after `seconds` unless it has ended; an earlier deadline stands."""
        loop = asyncio.get_running_loop()
        if self._kill_timer is not None:
            if self._kill_timer.when() <= loop.time() + seconds:
                return
            self._kill_timer.cancel()
        self._kill_timer = loop.call_later(seconds, self.kill_because, because)

    def kill_because(self, because: str) -> None:
        """SIGKILL now; `because` becomes part of the job's outcome."""
        self.killed_because = self.killed_because or because
        self.kill()

    def discard(self) -> None:
        """End a process that has no job."""
        if self.is_ending:
            return
        self.move(JobProcessState.STOPPING)
        super().discard()
        self.kill_in(2.0, "did not end when its channel was closed")

    def received(self, message: Message) -> None:
        match message:
            case Ready():
                super().received(message)
                if self.state is JobProcessState.STARTING:
                    self.move(JobProcessState.IDLE)
                elif self.state is JobProcessState.RESERVED:
                    self.send(Reserved())
            case Started():
                if not self.running.done():
                    self.running.set_result(None)
            case Ended():
                self.last_words = message
                self.on_message(message)
            case Stopping():
                if self.state is JobProcessState.RUNNING:
                    self.move(JobProcessState.STOPPING)
                self.on_message(message)
            case Connected() | GuestSeen() | Heartbeat():
                self.on_message(message)
            case _:
                super().received(message)

    def dying(self) -> None:
        if not self.is_ending:
            self.died_idle = self.state is JobProcessState.IDLE
            self.move(JobProcessState.STOPPING)

    def init_failed(self, failure: InitFailed) -> None:
        self.init_failure = failure
        super().init_failed(failure)
        if not self.running.done():
            self.running.set_exception(InitFailure(failure))

    def _on_ended(self, _: object) -> None:
        if self._kill_timer is not None:
            self._kill_timer.cancel()
        self.on_message = _unheard  # the job's method, and the job has this process: a cycle
        self.move(JobProcessState.EXITED)
        if not self.running.done():
            self.running.set_exception(ProcessFailed(f"the process ended before the job started: {self.death}"))


def _unheard(_message: Message) -> None:
    """While no job wants to hear it."""
