"""The host as recovery sees it: what it asks, and what it is told. Runs on the host's loop.

It reads the registry of jobs and the agents in force, and asks the admission, each time anew.
"""

from collections.abc import Sequence
from functools import partial

import aiohttp

from agenthost.config.model import LiveKitConfig, Restart
from agenthost.dispatch.token import Credentials, call_token
from agenthost.host.current import Current
from agenthost.host.hosted_agent import HostedAgent
from agenthost.host.jobs.admission import Admission
from agenthost.host.jobs.job import Job
from agenthost.host.jobs.registry import JobRegistry
from agenthost.host.jobs.running_job import RunningJob
from agenthost.host.tasks import Tasks
from agenthost.internal_errors import InternalErrors
from agenthost.jobs import JobOutcome, JobType, Offer
from agenthost.logs.events import get_logger
from agenthost.metrics import InternalPart, Metrics
from agenthost.recovery.recovery import Recovery
from agenthost.recovery.restarting import EndedJob
from agenthost.recovery.room_check import DoubtfulJob
from agenthost.recovery.server_api import ServerApi
from agenthost.recovery.sweeping import Watched
from agenthost.recovery.values import DispatchInfo

UNJOINED_SECONDS = 10.0
"""A job that has not joined after this long may be one whose room has closed, or another program has joined for it."""

TERMINATED = "terminated by the server"

_NEVER = Restart(on_failure=False, attempts=0, backoff=0.0)


class RecoveryView:
    """`recovery` is that of this host; `start` and `settle` are its."""

    def __init__(
        self,
        current: Current,
        jobs: JobRegistry,
        admission: Admission,
        *,
        session: aiohttp.ClientSession,
        tasks: Tasks,
        metrics: Metrics,
        errors: InternalErrors,
    ) -> None:
        self._current = current
        self._jobs = jobs
        self._admission = admission
        self._session = session
        self.recovery = Recovery(
            self,
            connect=self._connect,
            spawn=partial(tasks.create_task, part=InternalPart.RECOVERY),
            keep=tasks.keep,
            metrics=metrics,
            errors=errors,
            log=get_logger("recovery"),
        )
        jobs.on_end(self._ended)

    # ── what recovery asks ───────────────────────────────────────────────────────────────────────────────────

    def closed(self) -> bool:
        return bool(self._current.closed)

    def livekit(self) -> LiveKitConfig:
        return self._current.plan.config.livekit

    def watched(self) -> Sequence[Watched]:
        return [self._watch(agent) for agent in self._current.agents.values() if _recovers(agent)]

    def serving(self, dispatch_id: str) -> bool:
        return self._jobs.serves_dispatch(dispatch_id)

    def doubtful(self) -> Sequence[DoubtfulJob]:
        return [
            self._doubt(job, job.running)
            for job in self._jobs.running()
            if job.running is not None and _is_doubtful(job, job.running)
        ]

    def close_job(self, job_id: str) -> None:
        self._stop(job_id, "room closed")

    def terminate_job(self, job_id: str) -> None:
        self._stop(job_id, TERMINATED)

    def found_job(self, job_id: str, people: int) -> None:
        job = self._jobs.find(job_id)
        if job is not None and job.running is not None:
            job.running.found(people)

    def doubt_job(self, job_id: str) -> None:
        job = self._jobs.find(job_id)
        if job is not None and job.running is not None:
            job.running.forgotten = True

    # ── what recovery is told ────────────────────────────────────────────────────────────────────────────────

    def missed(self, receiver: HostedAgent, offer: Offer) -> None:
        """This host could not take an offer: nobody else may have."""
        if _recovers(receiver) and offer.dispatch_id:
            self.recovery.missed(offer.room)

    def terminated(self, job: Job) -> None:
        """The server ended a job, or has seen its participant leave, which may come again."""
        if job.running is None:
            return
        if job.offer.dispatch_id:
            self.recovery.terminated(self._doubt(job, job.running), job.offer.dispatch_id)
        else:
            self.terminate_job(job.id)

    def _ended(self, job: Job) -> None:
        if job.outcome is not None and job.running is not None:
            self._ran(job, job.running, job.outcome)
        elif job.accept is not None:
            self.missed(job.receiver, job.offer)

    def _ran(self, job: Job, running: RunningJob, outcome: JobOutcome) -> None:
        offer = job.offer
        if offer.type is not JobType.ROOM or not offer.dispatch_id:
            return  # a participant's dispatch serves everybody in the room; a simulated job has none
        agent, receiver = (self._current.agents.get(key) for key in (job.agent, job.receiver.id))
        ended = EndedJob(
            job_id=job.id,
            agent=job.agent,
            dispatch=_dispatch(offer),
            sid=offer.room.sid,
            identity=running.spec.accept.identity,
            outcome=outcome,
            leaving=running.leaving,
            restart=agent.config.restart if agent is not None else _NEVER,
            marks=receiver is not None and _recovers(receiver),
            server=self.recovery.server(job.registration.key.server),
        )
        self.recovery.ended(ended)

    def _stop(self, job_id: str, reason: str) -> None:
        """End one job politely; one that is gone already needs nothing."""
        job = self._jobs.find(job_id)
        if job is not None and job.running is not None:
            job.running.stop(reason)

    def _connect(self, livekit: LiveKitConfig) -> ServerApi:
        keys = Credentials(api_key=livekit.api_key, api_secret=livekit.api_secret)
        return ServerApi(self._session, url=livekit.url, sign=lambda room: call_token(keys, room), proxy=livekit.proxy)

    def _watch(self, agent: HostedAgent) -> Watched:
        config = agent.config
        return Watched(
            id=agent.id,
            agent_name=config.agent_name,
            deployment=config.deployment,
            attempts=config.recovery.attempts,
            sweep=config.recovery.sweep,
            refusal=partial(self._admission.refusal, agent),
        )

    def _doubt(self, job: Job, running: RunningJob) -> DoubtfulJob:
        is_told = not running.forgotten or running.spec.worker_id != job.registration.worker_id
        return DoubtfulJob(
            job_id=job.id,
            room=job.room,
            sid=job.offer.room.sid,
            joined=running.joined,
            connected=running.connected,
            identity="" if running.joined_itself else running.spec.accept.identity,
            dispatch_id="" if is_told else job.offer.dispatch_id,
            server=self.recovery.server(job.registration.key.server),
        )


def _recovers(agent: HostedAgent) -> bool:
    return agent.config.recovery.enabled and agent.config.type is JobType.ROOM and agent.registration is not None


def _is_doubtful(job: Job, running: RunningJob) -> bool:
    unjoined = not running.joined_itself and running.seconds >= UNJOINED_SECONDS
    return unjoined or running.forgotten or running.spec.worker_id != job.registration.worker_id


def _dispatch(offer: Offer) -> DispatchInfo:
    return DispatchInfo(
        id=offer.dispatch_id,
        room=offer.room.name,
        agent_name=offer.agent_name,
        deployment=offer.deployment,
        metadata=offer.metadata,
        attributes=offer.attributes,
    )
