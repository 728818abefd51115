"""Answers the offers of one registration, and turns assignments into running jobs.

Runs on the host's loop. In time: one deadline of 1.5 s covers rules, handler and starting the process; the slot is
taken before the handler is asked, the process is started after it. What is reserved and not assigned goes back.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from datetime import datetime, tzinfo

from msgspec import Struct
from msgspec.structs import replace

from agenthost.dispatch.registration import Registration
from agenthost.errors import ProcessFailed
from agenthost.host.generation import Generation
from agenthost.host.hosted_agent import HostedAgent
from agenthost.host.load_control import LoadControl
from agenthost.host.running_jobs import RunningJobs
from agenthost.host.slots import Slot, Slots
from agenthost.ipc.messages import AskHandler
from agenthost.jobs import Accept, Assignment, Offer, Reject
from agenthost.logs.events import EventLogger
from agenthost.metrics import Metrics
from agenthost.processes.job_process import JobProcess
from agenthost.rules import Decision, Facts, decide

OFFER_SECONDS = 1.5
"""Half of what the server gives a dispatch in all, of which the workers that were asked before took their part."""

HANDLER_SECONDS = 1.3
"""What a request handler gets of it: a hanging one is noticed, and replaced, before the offer's own deadline."""


AGENT_NAME_ATTRIBUTE = "lk.agent.name"
"""Not the `lk.agent_name` that the server itself gives every agent."""


class Reservation(Struct, frozen=True, kw_only=True):
    """A slot and a started process, held for a job until it is assigned."""

    decision: Decision
    offer: Offer
    target: HostedAgent
    generation: Generation
    process: JobProcess


class OfferDesk:
    """The desk of the agent `receiver`, or of who goes on for it.

    `agents` are all of the host, since a rule may pick another one's code.
    `missed` is called with offers that this host would have taken and could not, `terminated` with jobs that the server
    ends.
    """

    def __init__(
        self,
        receiver: HostedAgent,
        *,
        agents: Callable[[], Mapping[str, HostedAgent]],
        slots: Slots,
        closed: Callable[[], str],
        missed: Callable[[HostedAgent, Offer], None],
        terminated: Callable[[str], None],
        jobs: RunningJobs,
        load: LoadControl,
        timezone: Callable[[], tzinfo],
        metrics: Metrics,
        log: EventLogger,
    ) -> None:
        self._first_receiver = receiver
        self._agents = agents
        self._slots = slots
        self._closed = closed
        self._missed = missed
        self._terminated = terminated
        self._jobs = jobs
        self._load = load
        self._timezone = timezone
        self._metrics = metrics
        self._events = log
        self._reserved: dict[str, Reservation] = {}

    @property
    def _receiver(self) -> HostedAgent:
        return self._first_receiver.current

    @property
    def _log(self) -> EventLogger:
        return self._events.bind(agent=self._receiver.id)

    async def answer(self, offer: Offer) -> Accept | Reject:
        """Within OFFER_SECONDS; never raises but CancelledError, and then holds nothing."""
        began = time.perf_counter()
        log = self._log.bind(job_id=offer.job_id, room=offer.room.name)
        try:
            async with asyncio.timeout(OFFER_SECONDS):
                decision = self._decide(offer)
                log = log.bind(**_about(decision), decision_microseconds=round((time.perf_counter() - began) * 1e6))
                answer = await self._settle(offer, decision)
        except TimeoutError:
            answer = Reject(reason="deadline", detail=f"no answer within {OFFER_SECONDS} s")
        except Exception as error:
            log.error("offer failed inside the host", exc_info=error)
            answer = Reject(reason="host error", detail=repr(error))
        self._tell(answer, log.bind(milliseconds=round((time.perf_counter() - began) * 1e3, 2)))
        if isinstance(answer, Reject) and answer.reason in _MISSED:
            self._missed(self._receiver, offer)
        return answer

    def give_back(self, job_id: str, reason: str) -> None:
        reservation = self._reserved.pop(job_id, None)
        if reservation is None:
            return
        self._log.warning("job not assigned", job_id=job_id, reason=reason)
        reservation.generation.pool.give_back(reservation.process)
        self._free(job_id)
        self._missed(self._receiver, reservation.offer)

    def refusal(self, offer: Offer) -> str:
        """Why this offer would not be taken now, "" if it would; nothing is held for it. The handler is not asked."""
        decision = self._decide(offer)
        if isinstance(decision.answer, Reject):
            return decision.answer.reason
        target = self._agents().get(decision.agent)
        if self._closed() or target is None:
            return self._closed() or "not served"
        agent_limit = target.config.load.max_jobs
        free = self._slots.has_room(target.id, host_limit=self._load.max_jobs, agent_limit=agent_limit)
        return "full" if self._load.brakes(target.id) or not free else ""

    def assigned(self, assignment: Assignment, registration: Registration) -> None:
        reservation = self._reserved.pop(assignment.offer.job_id)
        self._jobs.start(
            assignment,
            registration,
            receiver=self._receiver,
            target=reservation.target,
            generation=reservation.generation,
            process=reservation.process,
            permissions=reservation.decision.permissions,
            done=lambda: self._free(assignment.offer.job_id),
        )

    def terminated(self, job_id: str) -> None:
        if job_id in self._reserved:
            self.give_back(job_id, "terminated by the server")
        else:
            self._terminated(job_id)

    def _decide(self, offer: Offer) -> Decision:
        now = datetime.now(self._timezone())
        facts = Facts(now=now, agent_jobs=self._slots.used_by(self._receiver.id))
        return decide(offer, self._receiver.plan.rules, facts)

    async def _settle(self, offer: Offer, decision: Decision) -> Accept | Reject:
        if isinstance(decision.answer, Reject):
            return decision.answer
        closed = self._closed()
        if closed:
            return Reject(reason=closed)
        config = self._receiver.config
        if config.unique_per_room and self._slots.serves(self._receiver.id, offer.room.name):
            return Reject(reason="duplicate", terminate=True, detail="this agent already has a job in the room")
        target = self._agents().get(decision.agent)
        if target is None:  # its registration opens before it is taken into the fleet, and closes after
            return Reject(reason="not served", detail=f"the agent `{decision.agent}` is being added or removed")
        if self._load.brakes(target.id) or not self._take_slot(offer, target):
            return Reject(reason="full")
        answer: Accept | Reject = Reject(reason="host error")
        try:
            answer = await self._ask_handler(offer, decision.answer)
            if isinstance(answer, Accept):
                answer = await self._reserve(offer, decision, target, self._as_its_framework(answer))
        finally:
            if isinstance(answer, Reject):
                self._free(offer.job_id)
        return answer

    def _as_its_framework(self, accept: Accept) -> Accept:
        """livekit-agents gives its agents their name as an attribute, by which front ends may look for them."""
        if self._receiver.generation.values is None:
            return accept
        return replace(accept, attributes={AGENT_NAME_ATTRIBUTE: self._receiver.config.agent_name, **accept.attributes})

    def _take_slot(self, offer: Offer, target: HostedAgent) -> bool:
        slot = Slot(
            job_id=offer.job_id,
            agent=target.id,
            receiver=self._receiver.id,
            room=offer.room.name,
            dispatch_id=offer.dispatch_id,
        )
        taken = self._slots.take(slot, host_limit=self._load.max_jobs, agent_limit=target.config.load.max_jobs)
        if taken:
            self._load.report()
        return taken

    def _free(self, job_id: str) -> None:
        self._slots.free(job_id)
        self._load.report()

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

    async def _reserve(self, offer: Offer, decision: Decision, target: HostedAgent, accept: Accept) -> Accept | Reject:
        generation = target.generation
        try:
            process = await generation.reserve()
        except ProcessFailed as error:
            if target.current.generation is not generation:  # a reload replaced it: the new one has processes
                return await self._reserve(offer, decision, target.current, accept)
            return Reject(reason="no process", detail=str(error))
        self._reserved[offer.job_id] = Reservation(
            offer=offer, decision=decision, target=target, generation=generation, process=process
        )
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


def _about(decision: Decision) -> dict[str, str]:
    """What the log says about a decision: the rule, where it stands, and the agent whose code runs."""
    place = {"place": str(decision.place)} if decision.place is not None else {}
    return {"rule": decision.rule, **place, "target": decision.agent}


_EXPECTED = frozenset({"rule", "otherwise", "handler", "duplicate", "full", "draining"})

_MISSED = frozenset({"full", "no process", "deadline", "handler timeout", "handler failed", "host error"})
"""Rejects for want of capacity or by a fault: another host may have taken the job, or nobody."""
