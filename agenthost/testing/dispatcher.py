"""Who is asked for a job, in which order and for how long: the server's agent handler, without its sockets.

Runs in the test's process. It remembers every offer and every status, so that tests can ask afterwards.
"""

import asyncio
import ctypes
import datetime
import random
import time
from collections.abc import Callable, Collection, Coroutine, Iterable
from typing import Any

from livekit import api
from livekit.protocol import agent

from agenthost.jobs import JobStatus
from agenthost.testing.changes import Changes
from agenthost.testing.values import (
    STATUSES,
    TYPES,
    Faults,
    OfferOutcome,
    OfferResult,
    StatusUpdate,
    WorkerAnswer,
    new_id,
)
from agenthost.testing.worker_socket import ConnectedWorker, WorkerGone, WorkerKey

AGENT_NAME_ATTRIBUTE = "lk.agent_name"
TOKEN_TTL = datetime.timedelta(hours=1)


def choose_worker(
    workers: Iterable[ConnectedWorker], asked: Collection[ConnectedWorker], random_source: random.Random
) -> ConnectedWorker | None:
    """One of the available workers that were not asked yet, at random with the weight of its free load."""
    free = {w: max(0.0, 1.0 - w.load) for w in workers if w.available and w not in asked}
    if sum(free.values()) <= 0:
        return None
    return random_source.choices(list(free), weights=list(free.values()))[0]


class Dispatcher:
    """Offers jobs to the registered workers.

    target_load   a node whose available workers are all at or above it gets no offer
    budget        seconds from the offer until the job is given up, every rejection included
    slots         offers under way at once; further ones wait, and their budget starts only then
    """

    def __init__(
        self, *, api_key: str, api_secret: str, target_load: float, budget: float, slots: int, changes: Changes
    ) -> None:
        self.faults = Faults()
        self.workers: list[ConnectedWorker] = []
        self.results: dict[str, OfferResult] = {}
        self.statuses: dict[str, list[StatusUpdate]] = {}
        self.answers: dict[str, list[agent.AvailabilityResponse]] = {}
        self._api_key = api_key
        self._api_secret = api_secret
        self._target_load = ctypes.c_float(target_load).value  # loads arrive as 32 bits: 0.7 must be equal to 0.7
        self._budget = budget
        self._slots = asyncio.Semaphore(slots)
        self._changes = changes
        self._random = random.Random()
        self._tasks: set[asyncio.Task[object]] = set()

    def has_worker(self, job: agent.Job) -> bool:
        """Whether any worker of the job's key is registered, free or not."""
        return any(worker.key == _key(job) for worker in self.workers)

    async def launch(self, job: agent.Job) -> OfferResult:
        """Ask one worker after the other until one takes the job, ends it, or the budget is spent."""
        async with self._slots:
            if self._affinity(_key(job)) <= 0:
                return self._remember(_result(job, OfferOutcome.NO_WORKER, time.monotonic(), []))
            return await self._offer(job, lambda: self._of(_key(job)))

    async def simulate(self, worker: ConnectedWorker, request: agent.SimulateJobRequest) -> OfferResult:
        """Offer this very worker a job, as it asked for, whoever else is there."""
        publisher = request.HasField("participant")
        job = agent.Job(
            id=new_id("AJ"),
            type=agent.JobType.JT_PUBLISHER if publisher else agent.JobType.JT_ROOM,
            room=request.room,
            participant=request.participant if publisher else None,
            namespace=worker.registration.namespace,
            agent_name=worker.agent_name,
        )
        return await self._offer(job, lambda: [worker])

    def start(self, work: Coroutine[Any, Any, object]) -> None:
        """Let something go on by itself until it ends or the server forgets everything."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def forget(self) -> None:
        """Give up every offer under way."""
        for task in self._tasks:
            task.cancel()

    async def _offer(self, job: agent.Job, workers: Callable[[], list[ConnectedWorker]]) -> OfferResult:
        offered_at = time.monotonic()
        answers: list[WorkerAnswer] = []
        try:
            async with asyncio.timeout(self._budget):
                result = await self._ask_in_turn(job, workers, offered_at, answers)
        except TimeoutError:
            result = _result(job, OfferOutcome.UNANSWERED, offered_at, answers)
        return self._remember(result)

    def _remember(self, result: OfferResult) -> OfferResult:
        self.results[result.job_id] = result
        self._changes.notify()
        return result

    async def _ask_in_turn(
        self,
        job: agent.Job,
        workers: Callable[[], list[ConnectedWorker]],
        offered_at: float,
        answers: list[WorkerAnswer],
    ) -> OfferResult:
        asked: set[ConnectedWorker] = set()
        while (worker := choose_worker(workers(), asked, self._random)) is not None:
            asked.add(worker)
            at = time.monotonic()
            job.state.worker_id = worker.id
            job.state.status = agent.JobStatus.JS_RUNNING
            try:
                answer = await worker.ask(job)
                answers.append(_answer(worker, answer, at))
                if answer.terminate:
                    return _result(job, OfferOutcome.TERMINATED, offered_at, answers)
                if answer.available and self.faults.lose_assignments:
                    return _result(job, OfferOutcome.LOST, offered_at, answers)
                if answer.available:
                    await asyncio.sleep(self.faults.assign_delay)
                    return await self._assign(worker, job, answer, offered_at, answers)
            except WorkerGone:
                continue  # the next worker is asked, as on the real server
        return _result(job, OfferOutcome.REJECTED if answers else OfferOutcome.NO_WORKER, offered_at, answers)

    async def _assign(
        self,
        worker: ConnectedWorker,
        job: agent.Job,
        answer: agent.AvailabilityResponse,
        offered_at: float,
        answers: list[WorkerAnswer],
    ) -> OfferResult:
        job.state.participant_identity = answer.participant_identity
        token = self._sign(worker, job, answer)
        at = time.monotonic()
        await worker.assign(job, token)
        return _result(job, OfferOutcome.ASSIGNED, offered_at, answers, at=at, worker_id=worker.id, token=token)

    async def terminate(self, job_id: str) -> bool:
        """Send the job's worker a termination; False when no worker is known to run it."""
        worker = next((w for w in self.workers if job_id in w.jobs), None)
        if worker is None:
            return False
        try:
            return await worker.terminate(job_id)
        except WorkerGone:
            return False

    def take_answer(self, worker: ConnectedWorker, answer: agent.AvailabilityResponse) -> None:
        """Note an answer, and give it to whoever made the offer."""
        self.answers.setdefault(answer.job_id, []).append(answer)
        worker.take_answer(answer)

    def take_status(self, worker: ConnectedWorker, update: agent.UpdateJobStatus) -> None:
        """Note a status; one for a job that this worker does not run changes nothing."""
        heeded = update.job_id in worker.jobs
        status = STATUSES.get(update.status)
        if status is None:
            return
        if heeded and status is not JobStatus.RUNNING:
            del worker.jobs[update.job_id]
        self.statuses.setdefault(update.job_id, []).append(
            StatusUpdate(job_id=update.job_id, status=status, error=update.error, at=time.monotonic(), heeded=heeded)
        )

    def _of(self, key: WorkerKey) -> list[ConnectedWorker]:
        return [worker for worker in self.workers if worker.key == key]

    def _affinity(self, key: WorkerKey) -> float:
        return sum(max(0.0, self._target_load - worker.load) for worker in self._of(key) if worker.available)

    def _sign(self, worker: ConnectedWorker, job: agent.Job, answer: agent.AvailabilityResponse) -> str:
        """The job's token with the permissions given at registration; the real server ignores sources as well."""
        registered = worker.registration
        given = registered.allowed_permissions if registered.HasField("allowed_permissions") else None
        grants = api.VideoGrants(
            room_join=True,
            room=job.room.name,
            agent=True,
            can_publish=given.can_publish if given else True,
            can_subscribe=given.can_subscribe if given else True,
            can_publish_data=given.can_publish_data if given else True,
            can_update_own_metadata=given.can_update_metadata if given else True,
            can_subscribe_metrics=given.can_subscribe_metrics if given else False,
            hidden=given.hidden if given else False,
            room_admin=True if self.faults.forge_tokens else None,
        )
        secret = f"not {self._api_secret}" if self.faults.forge_tokens else self._api_secret
        token = api.AccessToken(self._api_key, secret).with_identity(answer.participant_identity)
        attributes = dict(answer.participant_attributes) | {AGENT_NAME_ATTRIBUTE: worker.agent_name}
        token.with_ttl(TOKEN_TTL).with_kind("agent").with_grants(grants).with_attributes(attributes)
        return token.with_name(answer.participant_name).with_metadata(answer.participant_metadata).to_jwt()


def _key(job: agent.Job) -> WorkerKey:
    return (job.agent_name, job.namespace, TYPES[job.type], job.deployment)


def _answer(worker: ConnectedWorker, answer: agent.AvailabilityResponse, offered_at: float) -> WorkerAnswer:
    return WorkerAnswer(
        worker_id=worker.id,
        available=answer.available,
        terminate=answer.terminate,
        identity=answer.participant_identity,
        name=answer.participant_name,
        metadata=answer.participant_metadata,
        attributes=dict(answer.participant_attributes),
        offered_at=offered_at,
        answered_at=time.monotonic(),
    )


def _result(
    job: agent.Job,
    outcome: OfferOutcome,
    offered_at: float,
    answers: list[WorkerAnswer],
    *,
    at: float | None = None,
    worker_id: str = "",
    token: str = "",
) -> OfferResult:
    return OfferResult(
        job_id=job.id,
        room=job.room.name,
        agent_name=job.agent_name,
        type=TYPES[job.type],
        outcome=outcome,
        answers=tuple(answers),
        offered_at=offered_at,
        assigned_at=at,
        worker_id=worker_id,
        token=token,
    )
