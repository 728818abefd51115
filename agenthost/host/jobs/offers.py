"""Answers the offers of one registration, and turns assignments into running jobs.

Runs on the host's loop. In time: one deadline of 1.5 s covers rules, handler and starting the process; the slot is
taken before the handler is asked, the process is started after it. What is reserved and not assigned goes back.
"""

import asyncio
import time
from typing import Protocol

from msgspec.structs import replace

from agenthost.dispatch import wire
from agenthost.dispatch.registration import Registration
from agenthost.errors import ProcessFailed
from agenthost.host.current import Current
from agenthost.host.hosted_agent import HostedAgent
from agenthost.host.jobs.admission import Admission
from agenthost.host.jobs.job import Job, Reservation
from agenthost.host.jobs.job_spec import JobSpec
from agenthost.host.jobs.registry import JobRegistry
from agenthost.host.jobs.running_job import HOST_ERROR, RunningJob
from agenthost.host.jobs.states import JobState, ServerMessage, expects
from agenthost.host.load_control import LoadControl
from agenthost.internal_errors import InternalErrors
from agenthost.ipc.messages import AskHandler
from agenthost.jobs import Accept, JobStatus, Offer, Reject
from agenthost.logs.events import EventLogger, get_logger
from agenthost.metrics import InternalPart, Metrics
from agenthost.recovery.values import attempt_of
from agenthost.rules import Decision

OFFER_SECONDS = 1.5
"""Half of what the server gives a dispatch in all, of which the workers that were asked before took their part."""

HANDLER_SECONDS = 1.3
"""What a request handler gets of it: a hanging one is noticed, and replaced, before the offer's own deadline."""


AGENT_NAME_ATTRIBUTE = "lk.agent.name"
"""Not the `lk.agent_name` that the server itself gives every agent."""


class Lost(Protocol):
    """Who looks after calls that this host could not take, or that the server has ended."""

    def missed(self, receiver: HostedAgent, offer: Offer) -> None:
        """This host would have taken an offer, and could not."""

    def terminated(self, job: Job) -> None:
        """The server ended a job, or has seen its participant leave, which may come again."""


class OfferHandler:
    """Of the agent `receiver`, or of who goes on for it."""

    def __init__(
        self,
        receiver: HostedAgent,
        *,
        current: Current,
        jobs: JobRegistry,
        admission: Admission,
        load: LoadControl,
        lost: Lost,
        metrics: Metrics,
        errors: InternalErrors,
    ) -> None:
        self._first_receiver = receiver
        self._current = current
        self._jobs = jobs
        self._admission = admission
        self._load = load
        self._lost = lost
        self._metrics = metrics
        self._errors = errors
        self._events = get_logger("dispatch")

    @property
    def _receiver(self) -> HostedAgent:
        return self._first_receiver.current

    @property
    def _log(self) -> EventLogger:
        return self._events.bind(agent=self._receiver.id)

    # ── offers ───────────────────────────────────────────────────────────────────────────────────────────────

    async def answer(self, offer: Offer, registration: Registration) -> Accept | Reject:
        """Within OFFER_SECONDS; never raises but CancelledError, and then holds nothing."""
        known = self._jobs.find(offer.job_id)
        if known is not None:
            return await self._repeated(known, registration)
        began = time.perf_counter()
        log = self._log.bind(job_id=offer.job_id, room=offer.room.name)
        try:
            async with asyncio.timeout(OFFER_SECONDS):
                decision = self._admission.decide(self._receiver, offer)
                log = log.bind(**_about(decision), decision_microseconds=round((time.perf_counter() - began) * 1e6))
                answer = await self._settle(offer, decision, registration)
        except TimeoutError:
            answer = Reject(reason="deadline", detail=f"no answer within {OFFER_SECONDS} s")
        except Exception as error:
            self._errors.note(InternalPart.OFFER, error, job_id=offer.job_id)
            answer = Reject(reason="host error", detail=repr(error))
        self._tell(answer, log.bind(milliseconds=round((time.perf_counter() - began) * 1e3, 2)))
        if isinstance(answer, Reject) and answer.reason in _MISSED:
            self._lost.missed(self._receiver, offer)
        return answer

    def unanswerable(self, job_id: str) -> None:
        """The answer cannot be put on the wire: the server will hear a reject."""
        job = self._jobs.find(job_id)
        if job is not None and job.state is JobState.ACCEPTED:
            self._jobs.withdraw(job, "its answer could not be sent")

    async def _repeated(self, job: Job, registration: Registration) -> Accept | Reject:
        """The same question of the same worker has the same answer, as long as that is the question."""
        self._unexpected("offer", job.id)
        if job.registration is registration:
            await job.decided.wait()
            if job.state is JobState.ACCEPTED and job.accept is not None:
                return job.accept
        return Reject(reason="duplicate", detail="this host has the job already")

    async def _settle(self, offer: Offer, decision: Decision, registration: Registration) -> Accept | Reject:
        if isinstance(decision.answer, Reject):
            return decision.answer
        target = self._admission.target(decision)
        if isinstance(target, Reject):
            return target
        if self._receiver.config.unique_per_room and self._jobs.serves(self._receiver.id, offer.room.name):
            return Reject(reason="duplicate", terminate=True, detail="this agent already has a job in the room")
        job = Job(offer, decision, registration=registration, receiver=self._receiver, target=target)
        if self._load.brakes(target.id) or not self._take_slot(job):
            return Reject(reason="full")
        why = "given up"
        try:
            answer = await self._ask_handler(offer, decision.answer)
            if isinstance(answer, Accept):
                answer = await self._reserve(job, self._as_its_framework(answer))
            if isinstance(answer, Reject):
                why = answer.reason
        finally:
            if job.state is JobState.OFFERED:  # whatever ended this, a lost socket included
                self._jobs.end(job, why)
        return answer

    def _as_its_framework(self, accept: Accept) -> Accept:
        """livekit-agents gives its agents their name as an attribute, by which front ends may look for them."""
        if self._receiver.generation.values is None:
            return accept
        return replace(accept, attributes={AGENT_NAME_ATTRIBUTE: self._receiver.config.agent_name, **accept.attributes})

    def _take_slot(self, job: Job) -> bool:
        taken = self._jobs.take(job, host_limit=self._load.max_jobs, agent_limit=job.target.config.load.max_jobs)
        if taken:
            self._load.report()
        return taken

    async def _ask_handler(self, offer: Offer, accept: Accept) -> Accept | Reject:
        hook = self._receiver.hook
        if hook is None or self._receiver.config.requests.handler is None:
            return accept
        question = AskHandler(
            number=hook.number(),
            job=offer.encoded,
            identity=accept.identity,
            name=accept.name,
            metadata=accept.metadata,
            attributes=accept.attributes,
        )
        try:
            said = await hook.ask_handler(question, seconds=HANDLER_SECONDS)
        except TimeoutError:
            return Reject(reason="handler timeout", detail=f"no answer within {HANDLER_SECONDS} s")
        except ProcessFailed as error:
            return Reject(reason="handler failed", detail=str(error))
        match said.action:
            case "accept":
                return Accept(
                    identity=said.identity, name=said.name, metadata=said.metadata, attributes=said.attributes
                )
            case "reject" | "terminate":
                return Reject(reason="handler", terminate=said.action == "terminate")
            case _:
                return Reject(reason="handler failed", detail=said.detail)

    async def _reserve(self, job: Job, accept: Accept) -> Accept | Reject:
        """The last that is awaited: whoever is accepted has a process, and the host is still open."""
        generation = job.target.current.generation
        try:
            process = await generation.reserve()
        except ProcessFailed as error:
            if job.target.current.generation is not generation:  # a reload replaced it: the new one has processes
                return await self._reserve(job, accept)
            return Reject(reason="no process", detail=str(error))
        job.reserved = Reservation(generation=generation, process=process)  # its end gives back what it does not use
        if self._current.closed:
            return Reject(reason=self._current.closed)
        self._jobs.accept(job, accept)
        return accept

    def _tell(self, answer: Accept | Reject, log: EventLogger) -> None:
        if isinstance(answer, Accept):
            self._metrics.offer_answered(self._receiver.id, answer="accept")
            log.info("job accepted")
            return
        verb = "terminate" if answer.terminate else "reject"
        self._metrics.offer_answered(self._receiver.id, answer=verb, reason=answer.reason)
        level = log.info if answer.reason in _EXPECTED else log.warning
        level("offer rejected", reason=answer.reason, detail=answer.detail, terminate=answer.terminate)

    # ── what the server says of them ─────────────────────────────────────────────────────────────────────────

    def assigned(self, event: wire.Assigned, registration: Registration) -> None:
        """An accepted job is ours; what becomes of it is reported to this registration."""
        job = self._expecting(ServerMessage.ASSIGNMENT, event.offer.job_id, registration)
        if job is None:
            self._refuse_late(event.offer, registration)
        elif (event.offer.room.name, event.offer.type) != (job.room, job.offer.type):
            self._jobs.withdraw(job, "another room was assigned than was offered")
            registration.report_job(job.id, JobStatus.FAILED, "another room was assigned than was offered")
        else:
            self._start(job, event)

    def terminated(self, job_id: str, registration: Registration) -> None:
        """The server ended the job."""
        job = self._expecting(ServerMessage.TERMINATION, job_id, registration)
        if job is None:
            return
        if job.state is JobState.ACCEPTED:
            self._jobs.withdraw(job, "terminated by the server")
        else:
            self._lost.terminated(job)

    def lost(self, registration: Registration) -> None:
        """The connection is lost, and every assignment with it that was still to come."""
        for job in self._jobs.over(registration):
            if job.state is JobState.ACCEPTED:
                self._jobs.withdraw(job, "the connection was lost before the assignment")

    def _expecting(self, message: ServerMessage, job_id: str, registration: Registration) -> Job | None:
        """The job that the message is for; None, and said, where it means nothing."""
        job = self._jobs.find(job_id)
        if job is not None and job.registration is registration and expects(job.state, message):
            return job
        self._unexpected(message.value, job_id)
        return None

    def _unexpected(self, message: str, job_id: str) -> None:
        job, ended = self._jobs.find(job_id), self._jobs.ended(job_id)
        state = job.state.value if job is not None else "ended" if ended is not None else "unknown"
        # the server tells of the end of every job, also of one that has ended by itself
        is_usual = ended is not None and message == ServerMessage.TERMINATION.value
        level = self._log.debug if is_usual else self._log.warning
        level("message not expected", message=message, job_id=job_id, state=state, effect="it changes nothing")

    def _start(self, job: Job, event: wire.Assigned) -> None:
        try:
            running = self._run(job, event)
        except Exception as error:
            self._errors.note(InternalPart.JOB, error, job_id=job.id)
            self._jobs.withdraw(job, HOST_ERROR)
            job.registration.report_job(job.id, JobStatus.FAILED, f"agenthost: {error!r}")
            return
        self._jobs.start(job, running)

    def _refuse_late(self, offer: Offer, registration: Registration) -> None:
        """The server believes that a job runs here which does not: it is told, and the call can go to somebody else."""
        ended = self._jobs.ended(offer.job_id)
        if self._jobs.find(offer.job_id) is not None or (ended is not None and ended.ran):
            return
        why = ended.why if ended is not None else "it was not accepted"
        registration.report_job(offer.job_id, JobStatus.FAILED, f"this host does not wait for the job: {why}")
        self._log.error("job assigned too late", job_id=offer.job_id, room=offer.room.name, reason=why)

    def _run(self, job: Job, event: wire.Assigned) -> RunningJob:
        assert job.reserved is not None and job.accept is not None
        registration, server, target = job.registration, job.registration.key.server, job.target.current
        config = self._current.plan.config
        spec = JobSpec(
            offer=event.offer,
            accept=job.accept,
            times=replace(job.times, assigned=time.time()),
            worker_id=registration.worker_id,
            agent=target.id,
            generation=job.reserved.generation.number,
            token=event.token,
            url=event.url or server.url,
            server=server,
            grants=config.livekit.job_grants,
            permissions=job.decision.permissions,
            limits=target.config.limits,
            settings=target.config.settings,
            secret_in_job=job.reserved.generation.sees_secret,
            file="" if config.code else str(config.file),
            attempt=1 + attempt_of(event.offer.attributes),
            session_host=target.config.session_host,
        )
        return RunningJob(
            spec,
            job.reserved.process,
            guests=self._jobs.guests,
            reserve=target.reserve,
            report=lambda status, error: registration.report_job(job.id, status, error),
            moved=lambda state: self._jobs.move(job, state),
            errors=self._errors,
            log=get_logger("jobs"),
        )


def _about(decision: Decision) -> dict[str, str]:
    """What the log says about a decision: the rule, where it stands, and the agent whose code runs."""
    place = {"place": str(decision.place)} if decision.place is not None else {}
    return {"rule": decision.rule, **place, "target": decision.agent}


_EXPECTED = frozenset({"rule", "otherwise", "handler", "duplicate", "full", "draining"})

_MISSED = frozenset({"full", "no process", "deadline", "handler timeout", "handler failed", "host error"})
"""Rejects for want of capacity or by a fault: another host may have taken the job, or nobody."""
