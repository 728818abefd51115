"""FakeLiveKitServer: a LiveKit server's agent half on 127.0.0.1, for tests without a server, media or network.

It speaks the real wire (websocket on `/agent`, Twirp on `/twirp`) and behaves as livekit-server v1.13.5 does; the
tests that prove it run the same scenarios against both. Whoever tries to join a room is refused with a sentence, its
token kept. It runs on the event loop of whoever opens it:

    async with FakeLiveKitServer() as server:
        ...  # start something with LIVEKIT_URL=server.url
        await server.wait_registered("support")
        result = await server.offer("room-1", agent_name="support")
        await server.wait_status(result.job_id, JobStatus.SUCCESS)
"""

import time
from collections.abc import Callable, Mapping
from types import TracebackType

from aiohttp import web
from livekit.api.access_token import Claims
from livekit.protocol import agent, agent_dispatch, models

from agenthost.jobs import EMPTY, JobStatus, JobType
from agenthost.testing.agent_service import GARBAGE, AgentService
from agenthost.testing.changes import Changes
from agenthost.testing.dispatcher import Dispatcher
from agenthost.testing.joins import Joins
from agenthost.testing.rooms import Rooms
from agenthost.testing.twirp import ServerApi
from agenthost.testing.values import WIRE_TYPES, Faults, LoadReport, OfferResult, StatusUpdate
from agenthost.testing.worker_socket import ConnectedWorker


class FakeLiveKitServer:
    """One server. Every wait has a time-out in seconds and says in its TimeoutError what there was instead.

    api_key, api_secret  what its clients must sign with
    port                 0: any free one, kept over a restart
    budget               seconds for one offer, from its start to the assignment, rejections included
    target_load          a worker key whose available workers are all at or above it is offered nothing
    slots                offers under way at once
    list_lag             seconds until ListDispatch shows a job
    faults               may be replaced at any time; holds for connections and calls made from then on
    """

    def __init__(
        self,
        *,
        api_key: str = "devkey",
        api_secret: str = "a secret that only tests know, long enough for HS256",
        port: int = 0,
        budget: float = 3.0,
        target_load: float = 0.7,
        slots: int = 50,
        list_lag: float = 0.0,
        faults: Faults | None = None,
    ) -> None:
        self.api_key = api_key
        self.api_secret = api_secret
        self.port = port
        self._changes = Changes()
        self._dispatcher = Dispatcher(
            api_key=api_key,
            api_secret=api_secret,
            target_load=target_load,
            budget=budget,
            slots=slots,
            changes=self._changes,
        )
        self.rooms = Rooms(self._dispatcher, list_lag=list_lag)
        self._api = ServerApi(self.rooms, api_key=api_key, api_secret=api_secret, faults=lambda: self.faults)
        self._agents = AgentService(self._dispatcher, self._changes, api_key=api_key, api_secret=api_secret)
        self._joins = Joins(self._changes, api_key=api_key, api_secret=api_secret)
        self.faults = faults or Faults()
        self._runner: web.AppRunner | None = None

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def url(self) -> str:
        """What goes into LIVEKIT_URL."""
        return f"ws://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The three variables that make a client find this server."""
        return {"LIVEKIT_URL": self.url, "LIVEKIT_API_KEY": self.api_key, "LIVEKIT_API_SECRET": self.api_secret}

    async def __aenter__(self) -> "FakeLiveKitServer":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; the second time on the same port as before."""
        app = web.Application()
        app.router.add_get("/", self._answer_health)
        app.router.add_get("/agent", self._agents.serve)
        for path in ("/rtc", "/rtc/v1", "/rtc/validate", "/rtc/v1/validate"):
            app.router.add_get(path, self._joins.refuse)
        app.router.add_post("/twirp/livekit.{service}/{method}", self._api.handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop listening, cut every connection, and forget rooms, dispatches and jobs; what tests asked for stays."""
        runner, self._runner = self._runner, None
        if runner is not None:
            self.cut()
            self.rooms.forget()
            await runner.cleanup()

    async def restart(self) -> None:
        """What a crashed server does: all connections break, everything is forgotten, the same port listens again."""
        await self.stop()
        await self.start()

    async def _answer_health(self, _: web.Request) -> web.Response:
        return web.Response(text="OK")

    # ── faults ───────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def faults(self) -> Faults:
        """What goes wrong with connections made from now on; assign another value to change it."""
        return self._dispatcher.faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._dispatcher.faults = faults

    def cut(self) -> None:
        """Break every websocket without a closing handshake; new connections are welcome at once."""
        self._agents.cut()

    def freeze(self) -> None:
        """Make every present websocket half-open: it stays connected, and nothing passes any more, not even pongs."""
        self._agents.freeze()

    async def send_garbage(self) -> None:
        """Send every registered worker a frame that is no message."""
        for worker in self.workers:
            await worker.send_raw(GARBAGE)

    # ── what tests ask ───────────────────────────────────────────────────────────────────────────────────────

    @property
    def workers(self) -> tuple[ConnectedWorker, ...]:
        """The registered workers, oldest first."""
        return tuple(self._dispatcher.workers)

    @property
    def offers(self) -> tuple[OfferResult, ...]:
        """Every offer that has ended, oldest first, whether a test or a dispatch made it."""
        return tuple(self._dispatcher.results.values())

    @property
    def connections(self) -> int:
        """How many websockets were accepted since this object was made, restarts included."""
        return self._agents.connections

    @property
    def refusals(self) -> int:
        """How many connections were refused an HTTP upgrade since this object was made."""
        return self._agents.refusals

    def statuses(self, job_id: str) -> tuple[StatusUpdate, ...]:
        """Every status that any worker reported for the job, oldest first."""
        return tuple(self._dispatcher.statuses.get(job_id, ()))

    def answers(self, job_id: str) -> tuple[agent.AvailabilityResponse, ...]:
        """Every answer of any worker to an offer of the job, oldest first, whether or not anybody waited for it."""
        return tuple(self._dispatcher.answers.get(job_id, ()))

    async def wait_answers(
        self, job_id: str, *, count: int = 1, timeout: float = 10.0
    ) -> tuple[agent.AvailabilityResponse, ...]:
        """All answers to offers of the job, once there are `count`; for offers that a test wrote by itself."""
        return await self._changes.wait_for(
            lambda: said if len(said := self.answers(job_id)) >= count else None,
            timeout=timeout,
            what=lambda: f"job {job_id!r} got {len(self.answers(job_id))} answers, not {count}",
        )

    async def wait_registered(
        self, agent_name: str = "", type: JobType = JobType.ROOM, *, count: int = 1, timeout: float = 10.0
    ) -> ConnectedWorker:
        """The newest worker of that name and type, once there are `count` of them."""

        def look() -> ConnectedWorker | None:
            found = [w for w in self.workers if (w.agent_name, w.type) == (agent_name, type)]
            return found[-1] if len(found) >= count else None

        def what() -> str:
            there = ", ".join(f"{w.agent_name!r} ({w.type.value})" for w in self.workers) or "nobody"
            return f"{count} worker(s) {agent_name!r} ({type.value}) did not register; registered: {there}"

        return await self._changes.wait_for(look, timeout=timeout, what=what)

    async def wait_gone(self, worker: ConnectedWorker, *, timeout: float = 10.0) -> None:
        """Until that worker is not registered any more."""
        await self._changes.wait_for(
            lambda: None if worker in self.workers else worker,
            timeout=timeout,
            what=lambda: f"worker {worker.id} is still registered",
        )

    async def wait_refusals(self, count: int, *, timeout: float = 10.0) -> int:
        """Until at least `count` connections were refused; the number so far."""
        return await self._changes.wait_for(
            lambda: self.refusals if self.refusals >= count else None,
            timeout=timeout,
            what=lambda: f"{self.refusals} connections were refused, not {count}",
        )

    async def wait_connections(self, count: int, *, timeout: float = 10.0) -> int:
        """Until at least `count` websockets were accepted since the start; the number so far."""
        return await self._changes.wait_for(
            lambda: self.connections if self.connections >= count else None,
            timeout=timeout,
            what=lambda: f"{self.connections} websockets were opened, not {count}",
        )

    async def wait_status(self, job_id: str, *statuses: JobStatus, timeout: float = 10.0) -> StatusUpdate:
        """The first update that reports one of `statuses` for the job."""

        def what() -> str:
            wanted = " or ".join(status.value for status in statuses)
            seen = ", ".join(f"{u.status.value} {u.error!r}" for u in self.statuses(job_id)) or "nothing"
            return f"job {job_id} was not reported as {wanted}; reported: {seen}"

        return await self._changes.wait_for(
            lambda: next((u for u in self.statuses(job_id) if u.status in statuses), None), timeout=timeout, what=what
        )

    async def wait_report(
        self, agent_name: str, condition: Callable[[LoadReport], bool], *, timeout: float = 10.0
    ) -> LoadReport:
        """The newest load report of the newest worker of that name, once `condition` holds for it."""

        def newest() -> LoadReport | None:
            reports = [w.reports[-1] for w in self.workers if w.agent_name == agent_name and w.reports]
            return reports[-1] if reports else None

        return await self._changes.wait_for(
            lambda: found if (found := newest()) is not None and condition(found) else None,
            timeout=timeout,
            what=lambda: f"{agent_name!r} did not report that; its newest report: {newest()}",
        )

    async def wait_join(self, identity: str, *, timeout: float = 10.0) -> Claims:
        """What the token grants with which `identity` tries to join a room: the permissions the host signed."""
        return await self._changes.wait_for(
            lambda: self._joins.claims.get(identity),
            timeout=timeout,
            what=lambda: f"{identity!r} did not try to join; tried: {', '.join(self._joins.claims) or 'nobody'}",
        )

    async def wait_offer(self, room: str, agent_name: str = "", *, timeout: float = 10.0) -> OfferResult:
        """The newest offer for that room and agent, once it has ended; for offers that a dispatch made."""
        return await self._changes.wait_for(
            lambda: next((o for o in reversed(self.offers) if (o.room, o.agent_name) == (room, agent_name)), None),
            timeout=timeout,
            what=lambda: f"no offer ended for room {room!r} and agent {agent_name!r}",
        )

    # ── what tests do ────────────────────────────────────────────────────────────────────────────────────────

    async def offer(
        self,
        room: str,
        *,
        agent_name: str = "",
        type: JobType = JobType.ROOM,
        metadata: str = "",
        attributes: Mapping[str, str] = EMPTY,
        deployment: str = "",
        room_metadata: str = "",
        participant: models.ParticipantInfo | None = None,
    ) -> OfferResult:
        """Offer one job (in a dispatch of its own) and wait for what becomes of it.

        The room is made when it is new, without its automatic dispatch. `participant` is for the other two types.
        """
        record = self.rooms.create_quietly(room, metadata=room_metadata)
        request = agent_dispatch.CreateAgentDispatchRequest(
            agent_name=agent_name, room=room, metadata=metadata, deployment=deployment, attributes=attributes
        )
        dispatch = self.rooms.add_dispatch(record, request)
        return await self.rooms.launch(record, dispatch, WIRE_TYPES[type], participant)

    async def delete_dispatch_of(self, job_id: str) -> None:
        """Delete the dispatch that made the job, which ends it; nothing where that is gone already."""
        await self.rooms.delete_dispatch_of(job_id)

    async def terminate(self, job_id: str) -> bool:
        """Ask the job's worker to end it; False when no worker is known to run it.

        Its dispatch stands, as when its participant has left: a host asks for that before it believes it.
        """
        return await self._dispatcher.terminate(job_id)

    async def join(
        self,
        room: str,
        identity: str,
        *,
        kind: models.ParticipantInfo.Kind = models.ParticipantInfo.Kind.STANDARD,
        attributes: Mapping[str, str] = EMPTY,
    ) -> None:
        """Put a participant into a room (made where needed, with its automatic dispatch)."""
        await self.rooms.join(
            room,
            models.ParticipantInfo(identity=identity, kind=kind, attributes=attributes, joined_at=int(time.time())),
        )
