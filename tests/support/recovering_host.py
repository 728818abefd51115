"""A host in miniature: a worker made by hand, with the real recovery, all in the test's own process.

What it serves joins its room on the fake server as an agent. Many of them cost little, and their waits can be short.
"""

import asyncio
from collections.abc import Coroutine, Sequence
from types import TracebackType

import aiohttp
from livekit.protocol import agent, models

from agenthost.config.model import LiveKitConfig
from agenthost.dispatch.token import Credentials, call_token
from agenthost.internal_errors import InternalErrors
from agenthost.jobs import Offer, RoomInfo
from agenthost.logs.events import get_logger
from agenthost.metrics import InternalPart, Metrics
from agenthost.recovery.policy import Patience
from agenthost.recovery.recovery import Recovery, RecoveryTimes
from agenthost.recovery.room_check import DoubtfulJob
from agenthost.recovery.server_api import ServerApi
from agenthost.recovery.sweeping import FULL, Pace, Watched
from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.support.worker import Worker

AGENT = "support"


def times(scale: float) -> RecoveryTimes:
    """The product's own waits, so many times shorter."""
    pace, patience = Pace(), Patience()
    return RecoveryTimes(
        pace=Pace(rooms_per_second=pace.rooms_per_second * scale, cycle=pace.cycle / scale, missed=pace.missed / scale),
        patience=Patience(age=patience.age / scale, spacing=patience.spacing / scale),
    )


class RecoveringHost:
    """`async with RecoveringHost(server) as host`. It may be told to be full, to hang, or to die.

    serves      dispatch id → identity of the agent in the room
    refuses     what its rules say to every offer of recovery ("": they accept)
    answers     False: offers stay unanswered
    joins_after seconds from its answer until the agent is in the room
    """

    def __init__(
        self,
        server: FakeLiveKitServer,
        *,
        capacity: int = 10_000,
        scale: float = 100.0,
        attempts: int = 2,
        sweep: bool = True,
        refuses: str = "",
        draining: bool = False,
        joins_after: float = 0.0,
    ) -> None:
        self.serves: dict[str, str] = {}
        self.capacity = capacity
        self.refuses = refuses
        self.answers = True
        self.draining = draining
        self.joins_after = joins_after
        self.metrics = Metrics()
        self.failures: list[BaseException] = []
        self._server = server
        self._attempts = attempts
        self._sweep = sweep
        self._times = times(scale)
        self._tasks: set[asyncio.Task[None]] = set()
        self._worker = Worker(
            server.url,
            server.api_key,
            server.api_secret,
            agent_name=AGENT,
            answer=self._answer,
        )

    async def __aenter__(self) -> "RecoveringHost":
        self._session = aiohttp.ClientSession()
        keys = Credentials(api_key=self._server.api_key, api_secret=self._server.api_secret)
        self.api = ServerApi(self._session, url=self._server.url, sign=lambda room: call_token(keys, room))
        await self._worker.__aenter__()
        self.recovery = Recovery(
            self,
            connect=lambda livekit: self.api,
            spawn=self._spawn,
            keep=lambda loop: self._spawn(loop()),
            metrics=self.metrics,
            errors=InternalErrors(self.metrics, get_logger("host")),
            log=get_logger("recovery"),
            times=self._times,
        )
        self.recovery.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.die()
        assert self.failures == []
        assert [self.metrics.internal_errors(part) for part in InternalPart] == [0] * len(InternalPart)

    async def die(self) -> None:
        """As by SIGKILL: the socket breaks, and its agents' participants stay until somebody takes them out."""
        if self._session.closed:
            return
        for task in self._tasks:
            task.cancel()
        await self._worker.__aexit__(None, None, None)
        await self._session.close()

    async def lose(self, room: str) -> None:
        """The agent in this room is gone without a word, and so is the host's memory of it."""
        here = self._server.rooms.room(room)
        for dispatch_id, identity in list(self.serves.items()):
            if identity in here.participants:
                del self.serves[dispatch_id]
                del here.participants[identity]

    @property
    def recovered(self) -> int:
        return sum(count.count for count in self.metrics.recoveries())

    # ── what recovery asks ────────────────────────────────────────────────────────────────────────────────────────

    def closed(self) -> bool:
        return self.draining

    def livekit(self) -> LiveKitConfig:
        server = self._server
        return LiveKitConfig(
            url=server.url,
            api_key=server.api_key,
            api_secret=server.api_secret,
            proxy=None,
            secret_in_jobs=None,
            job_grants=(),
        )

    def watched(self) -> Sequence[Watched]:
        return [
            Watched(
                id=AGENT,
                agent_name=AGENT,
                deployment="",
                attempts=self._attempts,
                sweep=self._sweep,
                refusal=self._refusal,
            )
        ]

    def serving(self, dispatch_id: str) -> bool:
        return dispatch_id in self.serves

    def doubtful(self) -> Sequence[DoubtfulJob]:
        return []

    def close_job(self, job_id: str) -> None:
        raise AssertionError(f"no job of this host is in doubt: {job_id}")

    def found_job(self, job_id: str, people: int) -> None:
        raise AssertionError(f"no job of this host is looked for: {job_id}")

    terminate_job = doubt_job = close_job

    # ── its worker ───────────────────────────────────────────────────────────────────────────────────────────

    def _refusal(self, offer: Offer) -> str:
        return self.refuses or (FULL if len(self.serves) >= self.capacity else "")

    async def _answer(self, job: agent.Job) -> agent.AvailabilityResponse | None:
        if not self.answers:
            self.recovery.missed(RoomInfo(name=job.room.name, sid=job.room.sid))
            return None
        if len(self.serves) >= self.capacity:
            self.recovery.missed(RoomInfo(name=job.room.name, sid=job.room.sid))
            return agent.AvailabilityResponse(job_id=job.id, available=False)
        identity = f"agent-{job.id}"
        self.serves[job.dispatch_id] = identity
        self._spawn(self._join(job.room.name, identity))
        return agent.AvailabilityResponse(job_id=job.id, available=True, participant_identity=identity)

    async def _join(self, room: str, identity: str) -> None:
        kind = models.ParticipantInfo.Kind.AGENT
        await asyncio.sleep(self.joins_after)
        await self._server.join(room, identity, kind=kind, attributes={"lk.agent_name": AGENT})

    def _spawn(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failures.append(error)
