"""One job from its assignment to its outcome: launch, watch, end, report.

Runs on the host's loop, one task a job. What must be decided it asks `supervision`, `outcome` and the memory watch;
here the answers become acts: a message to the process, a status for the server, a line in the log.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable

from agenthost.config.model import SessionHost
from agenthost.dispatch.token import API_TOKEN_SECONDS, TokenRefused
from agenthost.errors import ProcessFailed
from agenthost.host.guests import GuestList
from agenthost.host.jobs.job_spec import JobSpec, start_message
from agenthost.host.jobs.outcome import StopIntent, init_outcome, outcome_of
from agenthost.host.jobs.states import JobState
from agenthost.host.jobs.supervision import Concern, JobTimes, concerns
from agenthost.internal_errors import InternalErrors
from agenthost.ipc.messages import ApiToken, Connected, Ended, Guests, GuestSeen, Heartbeat, Message, StartJob, Stopping
from agenthost.jobs import JobOutcome, JobStatus, OutcomeKind
from agenthost.logs.events import EventLogger
from agenthost.metrics import InternalPart
from agenthost.processes.child_process import InitFailure
from agenthost.processes.job_memory import MemoryWatch
from agenthost.processes.job_process import JobProcess, JobProcessState
from agenthost.processes.pool import end_hanging

GRACE_SECONDS = 15.0
"""What an entrypoint gets to return once it is asked to stop, as in livekit-agents."""

SLACK_SECONDS = 5.0
ANSWER_SECONDS = 2.0
"""An idle process that does not start its job in this time is taken for hanging; the job goes to another."""

LAUNCH_ATTEMPTS = 3

HOST_ERROR = "host error"
"""The outcome of a job that an error of the host itself has ended."""


class RunningJob:
    """`run` is the job's whole life; the other methods may be called at any time during it.

    `forced`: it was ended before its time. `leaving`: why it began to end by itself, or as asked ("": it has not).
    `forgotten`: the server takes it for ended, and it is not. `connected`: it says that it is in its room.
    `joined_itself`: it has said so once.
    """

    def __init__(
        self,
        spec: JobSpec,
        process: JobProcess,
        *,
        guests: GuestList,
        reserve: Callable[[], Awaitable[JobProcess]],
        report: Callable[[JobStatus, str], None],
        moved: Callable[[JobState], None],
        errors: InternalErrors,
        log: EventLogger,
    ) -> None:
        self.spec = spec
        self.process = process
        self.forced = False
        self.leaving = ""
        self.forgotten = False
        self.connected = False
        self.joined_itself = False
        self._guests = guests
        self._reserve = reserve
        self._report = report
        self._moved = moved
        self._errors = errors
        self._log = log.bind(agent=spec.agent, job_id=spec.offer.job_id, room=spec.room)
        self._intent: StopIntent | None = None
        self._replacing: asyncio.Future[JobProcess] | None = None
        self._times = JobTimes(started=time.monotonic(), heard=time.monotonic())
        self._acted: set[Concern] = set()
        self._token_at = time.monotonic()
        self._memory = MemoryWatch(warn_bytes=spec.limits.memory_warn, limit_bytes=spec.limits.memory)
        self._started = False
        self._is_ending = False
        self._budget: tuple[float, float | None, float] | None = None

    @property
    def joined(self) -> bool:
        """Whether it has ever been in its room, with its own process or another program."""
        return self._times.connected is not None

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self._times.started

    async def run(self) -> JobOutcome:
        """Never raises: whatever goes wrong is the job's outcome. Its process is gone then."""
        try:
            outcome = await self._launch() or await self._ended()
        except Exception as error:
            self.fail(error)  # nobody else would end the process
            outcome = await self._ended()
        with self._contained():
            self._report(outcome.status, outcome.error)
        with self._contained():
            self._tell(outcome)
        return outcome

    def fail(self, error: Exception) -> None:
        """Something about this job failed inside the host: its process is killed, and that is its outcome."""
        self._errors.note(InternalPart.JOB, error, job_id=self.spec.offer.job_id)
        self._intend(StopIntent(reason=HOST_ERROR, kind=OutcomeKind.FAILED, error=f"agenthost: {error!r}"))
        self.process.kill_because(HOST_ERROR)

    def stop(self, reason: str, *, error: str = "", grace_seconds: float = GRACE_SECONDS) -> None:
        """End it politely, with the budgets of a natural end; the first reason given stays. `error`: as a failure."""
        if self._intent is not None:
            return
        kind = OutcomeKind.FAILED if error else OutcomeKind.STOPPED
        self._intend(StopIntent(reason=reason, kind=kind, error=error))
        self._ask_to_stop(grace_seconds, None, self._natural_end_seconds)
        self._log.info("job stopping", reason=reason)

    def stop_within(self, reason: str, seconds: float) -> None:
        """End it, everything together in `seconds`: the drain deadline or a second signal. Not if it has ended."""
        if self._started and self.process.ended.done():
            return  # before its start it is given another process, and must hear of it all the same
        self.forced = True
        if self._intent is None:
            self._intend(StopIntent(reason=reason))
            self._log.info("job stopping", reason=reason, within_seconds=seconds)
        self._ask_to_stop(seconds, seconds, seconds)

    def kill(self, because: str) -> None:
        """SIGKILL now."""
        self.forced = True
        self._intend(self._intent or StopIntent(reason=because))
        self.process.kill_because(because)

    def tell_guests(self) -> None:
        """The room has one more; a job that has not been handed over yet is told with it."""
        if self.spec.session_host is SessionHost.OWN and self.process.state is JobProcessState.RUNNING:
            self.process.send(Guests(sids=self._guests.of(self.spec.room)))

    def found(self, people: int) -> None:
        """The server has its participant in the room, with so many people, and its process has not joined: another
        program has, with its token."""
        now = time.monotonic()
        if self.joined_itself:
            return
        if not self.joined:
            self._times.connected = now
            self._log.info("job connected", by="another program", pid=self.process.pid)
        self._times.people(people, now)

    def check(self, now: float) -> None:
        """Once a second: act on what the times and the memory of the job say."""
        if not self._started or self.process.ended.done():
            return
        for concern in concerns(self._times, self.spec.limits, now):
            if concern not in self._acted:
                self._acted.add(concern)
                self._act(concern)
        if now - self._token_at > API_TOKEN_SECONDS * 2 / 3:
            self._token_at = now
            self.process.send(ApiToken(token=self.spec.api_token()))
        self._check_memory(now)

    # ── launch ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _launch(self) -> JobOutcome | None:
        """Have the entrypoint called; None when it was, else the outcome. A process that was dead or hung before it
        took the job costs another process, not the job: no user code has seen it yet."""
        for attempt in range(1, LAUNCH_ATTEMPTS + 1):
            try:
                if attempt > 1 and not await self._replace_process():
                    return None
                await self._launch_on(self.process, start_message(self.spec, self._guests.of(self.spec.room)))
                return None
            except TokenRefused as error:
                self._log.error("token refused", error=str(error), hint="does LIVEKIT_URL lead to your own server?")
                self._intend(StopIntent(reason="token refused", kind=OutcomeKind.FAILED, error=str(error)))
                self.process.discard()
                return None
            except InitFailure as failure:
                self._traceback = failure.report.traceback
                self.process.kill_in(SLACK_SECONDS, f"did not end after its {failure.report.phase} had failed")
                await self.process.ended
                return init_outcome(failure.report)
            except TimeoutError:
                await end_hanging(self.process)
                why = f"the process was not ready within limits.init ({self.spec.limits.init:g} s)"
                return JobOutcome(kind=OutcomeKind.TIMED_OUT, reason="init exceeded", error=why)
            except ProcessFailed as error:
                if self._intent is not None:
                    return None
                self._log.warning("process failed", phase="launch", error=str(error), attempt=attempt)
                if attempt == LAUNCH_ATTEMPTS:
                    return JobOutcome(kind=OutcomeKind.CRASHED, reason="not started", error=str(error))
        return None

    async def _replace_process(self) -> bool:
        """False when the job is told to end before there is another. Raises ProcessFailed, TimeoutError."""
        self._replacing = asyncio.ensure_future(self._reserve())
        try:
            await asyncio.wait({self._replacing}, timeout=self.spec.limits.init)
        finally:
            is_late = self._replacing.cancel()
        if self._intent is not None and (is_late or self._replacing.cancelled()):
            return False
        if is_late:
            raise TimeoutError
        self.process = self._replacing.result()
        if self._intent is not None:
            self.process.discard()
        return self._intent is None

    async def _launch_on(self, process: JobProcess, message: StartJob) -> None:
        """Raises ProcessFailed (another process may do it), InitFailure or TimeoutError (none would)."""
        process.on_message = self._receive
        process.launch(message)
        if process.is_ready:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    await asyncio.shield(process.running)
                self._begin()
                return
            except TimeoutError:
                process.kill_because("did not take its job")
                await process.ended
                raise ProcessFailed("an idle process did not take its job") from None
        async with asyncio.timeout(self.spec.limits.init):
            await asyncio.shield(process.running)
        self._begin()

    def _begin(self) -> None:
        self._started = True
        now = time.monotonic()
        waited = now - self._times.started
        self._times = JobTimes(started=now, heard=now)
        if not self._is_ending:  # it may be over already: what it says comes faster than this is called
            self._moved(JobState.RUNNING)
        self._report(JobStatus.RUNNING, "")
        self._log.info("job started", pid=self.process.pid, milliseconds=round(waited * 1000, 1))
        if self._intent is not None:
            self._ask_to_stop(*(self._budget or (GRACE_SECONDS, None, self._natural_end_seconds)))

    # ── while it runs ────────────────────────────────────────────────────────────────────────────────────────

    def _receive(self, message: Message) -> None:
        try:
            self._heard(message)
        except Exception as error:
            self.fail(error)

    def _heard(self, message: Message) -> None:
        now = time.monotonic()
        self._times.heard = now
        self._acted.discard(Concern.SILENT)
        match message:
            case Heartbeat():
                self.connected = message.connected
                if self.joined_itself:
                    self._times.people(message.people, now)
            case Connected():
                self.joined_itself = True
                self._times.connected = now
                self._times.people(0, now)
                self._log.info("job connected", room_sid=message.room_sid, pid=self.process.pid)
            case GuestSeen():
                self._guests.seen(self.spec.room, message.identity, message.sid)
            case Stopping():
                self._enter_ending()
                self.leaving = message.reason
                self.process.kill_in(self._natural_end_seconds, f"did not end in time ({message.reason})")
            case Ended():
                self._traceback = message.traceback
            case _:
                pass  # the process keeps its own state

    def _act(self, concern: Concern) -> None:
        limits = self.spec.limits
        match concern:
            case Concern.NOT_CONNECTED:
                self._log.warning("job not connected", after_seconds=limits.connect, pid=self.process.pid)
            case Concern.SILENT:
                self._log.warning("job's event loop is blocked", pid=self.process.pid, hint="its stacks follow")
                self.process.dump_stacks()
            case Concern.UNRESPONSIVE:
                self._intend(StopIntent(reason="unresponsive", kind=OutcomeKind.TIMED_OUT))
                self.process.kill_because(
                    f"its event loop was blocked for longer than limits.unresponsive ({limits.unresponsive:g} s)"
                )
            case Concern.MAX_DURATION | Concern.EMPTY_ROOM:
                self.stop(concern.value)

    def _check_memory(self, now: float) -> None:
        verdict = self._memory.look(self.process.pid, now)
        if verdict is None:
            return
        if verdict.over_limit:
            limit = self.spec.limits.memory or 0
            self._log.error("job over its memory limit", bytes=verdict.used, limit=limit)
            used = f"{verdict.used / 1e6:.0f} MB of private memory"
            error = f"it used {used}, more than limits.memory ({limit / 1e6:.0f} MB)"
            self.stop("memory", error=error)
            if verdict.verdict.kills:
                self._intend(StopIntent(reason="memory", kind=OutcomeKind.FAILED, error=error))
                self.process.kill_because(f"it was killed, since it was {verdict.verdict.value}")
        else:
            self._log.warning("job uses much memory", bytes=verdict.used, warn=self.spec.limits.memory_warn)

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────

    _traceback = ""

    async def _ended(self) -> JobOutcome:
        await self.process.ended
        return outcome_of(
            last_words=self.process.last_words,
            intent=self._intent,
            killed_because=self.process.killed_because,
            death=self.process.death,
        )

    def _tell(self, outcome: JobOutcome) -> None:
        told = {"error": outcome.error, "traceback": self._traceback}
        log = self._log.bind(**{key: value for key, value in told.items() if value})
        level = log.info if outcome.status is JobStatus.SUCCESS else log.error
        level(
            "job ended",
            outcome=outcome.kind.value,
            reason=outcome.reason,
            seconds=round(self.seconds, 3),
            pid=self.process.pid,
        )

    def _contained(self) -> contextlib.AbstractContextManager[None]:
        return self._errors.contained(InternalPart.JOB, job_id=self.spec.offer.job_id)

    def _intend(self, intent: StopIntent) -> None:
        self._intent = intent
        if self._replacing is not None:
            self._replacing.cancel()
        self._enter_ending()

    def _enter_ending(self) -> None:
        """The first to say that it shall end, the job itself included, makes its state ENDING.

        Never raises: whoever says so asks or kills its process next, whatever its state is.
        """
        if not self._is_ending:
            self._is_ending = True
            with self._contained():
                self._moved(JobState.ENDING)

    def _ask_to_stop(self, grace: float, budget: float | None, kill_after: float) -> None:
        if self._started:
            slack = 1.0 if budget is not None else 0.0
            self.process.stop(
                self._intent.reason if self._intent else "",
                grace_seconds=grace,
                budget_seconds=budget,
                kill_after=kill_after + slack,
            )
        else:
            self._budget = (grace, budget, kill_after)
            self.process.kill_in(kill_after, "was asked to end before it had started")

    @property
    def _natural_end_seconds(self) -> float:
        limits = self.spec.limits
        return GRACE_SECONDS + limits.session_end + limits.shutdown + SLACK_SECONDS
