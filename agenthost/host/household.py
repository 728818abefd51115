"""The host as recovery sees it: its answers to recovery's questions, and what it tells recovery.

Runs on the host's loop. `agents` and everything else are asked anew each time: a reload may have replaced them.
"""

from collections.abc import Sequence

import aiohttp

from agenthost.config.model import LiveKitConfig, Restart
from agenthost.dispatch.registration import Registration
from agenthost.dispatch.token import Credentials, call_token
from agenthost.host.fleet import Fleet
from agenthost.host.hosted_agent import HostedAgent
from agenthost.host.running_job import RunningJob
from agenthost.host.tasks import Tasks
from agenthost.jobs import JobOutcome, JobType, Offer
from agenthost.logs.events import get_logger
from agenthost.recovery.recovery import Recovery
from agenthost.recovery.restarting import EndedJob
from agenthost.recovery.room_check import DoubtfulJob
from agenthost.recovery.server_api import ServerApi
from agenthost.recovery.sweeping import Watched
from agenthost.recovery.values import DispatchInfo

UNJOINED_SECONDS = 10.0
"""A job that has not joined after this long may be one whose room has closed."""

TERMINATED = "terminated by the server"

_NEVER = Restart(on_failure=False, attempts=0, backoff=0.0)


def recovery_of(fleet: Fleet, session: aiohttp.ClientSession, tasks: Tasks) -> Recovery:
    """The recovery of a host, told of every job that ends and of every offer that it could not take."""

    def connect(livekit: LiveKitConfig) -> ServerApi:
        keys = Credentials(api_key=livekit.api_key, api_secret=livekit.api_secret)
        return ServerApi(session, url=livekit.url, sign=lambda room: call_token(keys, room), proxy=livekit.proxy)

    household = FleetHousehold(fleet)
    recovery = Recovery(
        household,
        connect=connect,
        spawn=tasks.create_task,
        metrics=fleet.metrics,
        log=get_logger("recovery"),
    )
    household.recovery = recovery
    fleet.jobs.told = household.job_ended
    fleet.missed = household.missed
    fleet.terminated = household.terminated
    return recovery


class FleetHousehold:
    """A `Household` over a fleet."""

    recovery: Recovery

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet

    # ── what recovery asks ───────────────────────────────────────────────────────────────────────────────────

    def closed(self) -> bool:
        return bool(self._fleet.closed())

    def livekit(self) -> LiveKitConfig:
        return self._fleet.plan.config.livekit

    def watched(self) -> Sequence[Watched]:
        return [self._watch(agent) for agent in self._fleet.agents.values() if _recovers(agent)]

    def serving(self, dispatch_id: str) -> bool:
        return self._fleet.slots.serves_dispatch(dispatch_id)

    def doubtful(self) -> Sequence[DoubtfulJob]:
        return [
            self._doubt(job, over) for job, over in self._fleet.jobs.with_registrations() if _is_doubtful(job, over)
        ]

    def close_job(self, job_id: str) -> None:
        self._fleet.jobs.stop(job_id, "room closed")

    def terminate_job(self, job_id: str) -> None:
        self._fleet.jobs.stop(job_id, TERMINATED)

    def doubt_job(self, job_id: str) -> None:
        if (found := self._fleet.jobs.find(job_id)) is not None:
            found[0].forgotten = True

    # ── what recovery is told ────────────────────────────────────────────────────────────────────────────────

    def job_ended(self, job: RunningJob, outcome: JobOutcome, registration: Registration) -> None:
        offer = job.order.assignment.offer
        if offer.type is not JobType.ROOM or not offer.dispatch_id:
            return  # a participant's dispatch serves everybody in the room; a simulated job has none
        agent, receiver = (self._fleet.agents.get(key) for key in (job.order.agent, job.order.receiver))
        ended = EndedJob(
            job_id=offer.job_id,
            agent=job.order.agent,
            dispatch=_dispatch(offer),
            sid=offer.room.sid,
            identity=job.order.assignment.accept.identity,
            outcome=outcome,
            leaving=job.leaving,
            restart=agent.config.restart if agent is not None else _NEVER,
            marks=receiver is not None and _recovers(receiver),
            server=self.recovery.server(registration.key.server),
        )
        self.recovery.ended(ended)

    def missed(self, receiver: HostedAgent, offer: Offer) -> None:
        """This host could not take an offer: nobody else may have."""
        if _recovers(receiver) and offer.dispatch_id:
            self.recovery.missed(offer.room)

    def terminated(self, job_id: str) -> None:
        """The server ended a job, or has seen its participant leave, which may come again."""
        found = self._fleet.jobs.find(job_id)
        if found is None:
            return
        job, registration = found
        offer = job.order.assignment.offer
        if offer.dispatch_id:
            self.recovery.terminated(self._doubt(job, registration), offer.dispatch_id)
        else:
            self.terminate_job(job_id)

    def _watch(self, agent: HostedAgent) -> Watched:
        config = agent.config
        return Watched(
            id=agent.id,
            agent_name=config.agent_name,
            deployment=config.deployment,
            attempts=config.recovery.attempts,
            sweep=config.recovery.sweep,
            refusal=self._fleet.desk(agent).refusal,
        )

    def _doubt(self, job: RunningJob, registration: Registration) -> DoubtfulJob:
        offer = job.order.assignment.offer
        is_told = not job.forgotten or job.order.worker_id != registration.worker_id
        return DoubtfulJob(
            job_id=offer.job_id,
            room=offer.room.name,
            sid=offer.room.sid,
            joined=job.joined,
            connected=job.connected,
            dispatch_id="" if is_told else offer.dispatch_id,
            server=self.recovery.server(registration.key.server),
        )


def _recovers(agent: HostedAgent) -> bool:
    return agent.config.recovery.enabled and agent.config.type is JobType.ROOM and agent.registration is not None


def _is_doubtful(job: RunningJob, registration: Registration) -> bool:
    unjoined = not job.joined and job.seconds >= UNJOINED_SECONDS
    return unjoined or job.forgotten or job.order.worker_id != registration.worker_id


def _dispatch(offer: Offer) -> DispatchInfo:
    return DispatchInfo(
        id=offer.dispatch_id,
        room=offer.room.name,
        agent_name=offer.agent_name,
        deployment=offer.deployment,
        metadata=offer.metadata,
        attributes=offer.attributes,
    )
