"""Brings back jobs of this host that failed, and marks those that ended on purpose. Runs on the host's loop.

Every job that ends comes here once. What is to be done about it `policy` decides; each act is a task of its own, since
the server may be away for a while.
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from typing import TypeVar

from msgspec import Struct

from agenthost.config.model import Restart
from agenthost.errors import AgentHostError, ConnectionLost
from agenthost.jobs import JobOutcome
from agenthost.logs.events import EventLogger
from agenthost.metrics import Metrics
from agenthost.recovery.policy import Again, GiveUp, restart_of
from agenthost.recovery.redispatch import Redispatched, Result, redispatch
from agenthost.recovery.server_api import ServerApi
from agenthost.recovery.values import DispatchInfo
from agenthost.restarts import reconnect_delay

PERSIST_SECONDS = 120.0
"""How long a restart is tried while the server is away; after that nobody waits for an agent any more."""

SETTLE_SECONDS = 5.0
_ROOM_IS_GONE = frozenset({"room closed", "room deleted"})
_MOST_STORIES = 1000

T = TypeVar("T")
Spawn = Callable[[Coroutine[None, None, None]], "asyncio.Task[None]"]


class EndedJob(Struct, frozen=True, kw_only=True):
    """A job of this host whose process is gone.

    agent     whose code ran; `restart` is that agent's policy
    sid       of the room it was sent to
    identity  of its participant, which its process may have left behind
    leaving   why it had begun to end by itself ("": it had not)
    marks     recovery is on: a job that needs nobody any more takes its dispatch along
    """

    job_id: str
    agent: str
    dispatch: DispatchInfo
    sid: str
    identity: str
    outcome: JobOutcome
    leaving: str
    restart: Restart
    marks: bool
    server: ServerApi


class Restarter:
    """`closed`: this host takes no jobs any more, so what it brings back is for others, and at once."""

    def __init__(self, *, spawn: Spawn, closed: Callable[[], bool], metrics: Metrics, log: EventLogger) -> None:
        self._spawn = spawn
        self._closed = closed
        self._metrics = metrics
        self._log = log
        self._restarts: set[asyncio.Task[None]] = set()
        self._marks: set[asyncio.Task[None]] = set()
        self._hurry = asyncio.Event()
        self._stories: OrderedDict[str, tuple[str, ...]] = OrderedDict()

    def ended(self, job: EndedJob) -> None:
        """Do what is to be done about a job that has ended; returns at once."""
        log = self._log.bind(agent=job.agent, job_id=job.job_id, room=job.dispatch.room, dispatch_id=job.dispatch.id)
        story = (*self._stories.pop(job.dispatch.id, ()), job.outcome.error or job.outcome.reason)
        verdict = restart_of(
            job.outcome,
            leaving=job.leaving,
            attempt=job.dispatch.attempt,
            policy=job.restart,
            jitter=random.random(),
        )
        match verdict:
            case Again():
                log.warning("restart planned", attempt=verdict.attempt, in_seconds=round(verdict.delay, 2))
                self._start(self._bring_back(job, verdict, story, log), self._restarts)
                return
            case GiveUp():
                self._metrics.given_up(job.agent)
                log.error("job given up", attempts=verdict.attempts, reason=job.outcome.reason, story=list(story))
            case None:
                pass
        if job.marks and job.outcome.reason not in _ROOM_IS_GONE:
            self._start(self._mark(job, log), self._marks)

    async def settle(self) -> None:
        """Finish what is under way, without its waits; what takes longer than SETTLE_SECONDS is given up."""
        self._hurry.set()
        if not self._restarts | self._marks:
            return
        await asyncio.wait(self._restarts | self._marks, timeout=SETTLE_SECONDS)
        if self._restarts:
            self._log.error("jobs not restarted", jobs=len(self._restarts), reason="the host ends")
        if self._marks:
            self._log.warning("dispatches not deleted", jobs=len(self._marks), reason="the host ends")

    def _start(self, work: Coroutine[None, None, None], tasks: set[asyncio.Task[None]]) -> None:
        task = self._spawn(work)
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _bring_back(self, job: EndedJob, again: Again, story: tuple[str, ...], log: EventLogger) -> None:
        if not self._closed():
            await self._pause(again.delay)
        try:
            done = await self._redispatch_surely(job, again)
        except AgentHostError as error:
            log.error("job not restarted", attempt=again.attempt, reason=str(error), story=list(story))
            return
        if done.result is not Result.DONE:
            level = log.error if done.result is Result.LOST else log.info
            level("job not restarted", attempt=again.attempt, reason=done.result.value)
            return
        self._remember(done.dispatch_id, story)
        self._metrics.dispatched_again(job.agent, cause="restart")
        log.info("dispatched again", cause="restart", attempt=again.attempt, new_dispatch_id=done.dispatch_id)

    async def _redispatch_surely(self, job: EndedJob, again: Again) -> Redispatched:
        return await _persist(
            lambda: redispatch(
                job.server,
                job.dispatch,
                sid=job.sid,
                attempt=again.attempt,
                ghost=job.identity,
                needs_people=again.needs_people,
            )
        )

    async def _mark(self, job: EndedJob, log: EventLogger) -> None:
        """No other host shall take an end on purpose for a loss, not even one that comes while the server is away."""
        try:
            await _persist(lambda: job.server.delete_dispatch(job.dispatch.room, job.dispatch.id))
        except AgentHostError as error:
            # The usual case is a room that has closed in the same moment; then there is nothing to be mistaken about.
            log.debug("dispatch not deleted", reason=str(error))

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            pass  # the usual end of a pause

    def _remember(self, dispatch_id: str, story: tuple[str, ...]) -> None:
        """For the line that is written when all attempts have failed; the next one may be on another host."""
        self._stories[dispatch_id] = story
        while len(self._stories) > _MOST_STORIES:
            self._stories.popitem(last=False)


async def _persist(call: Callable[[], Awaitable[T]]) -> T:
    """Call the server, again and again while it is away. Raises ConnectionLost after PERSIST_SECONDS, CallRefused."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PERSIST_SECONDS
    tries = 0
    while True:
        try:
            return await call()
        except ConnectionLost:
            delay = reconnect_delay(tries, random.random())
            if loop.time() + delay > deadline:
                raise
        await asyncio.sleep(delay)
        tries += 1
