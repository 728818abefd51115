"""Looks for dispatches that nobody serves, and has them served. Runs on the host's loop, one task.

Rooms to look at come from two sides: offers that this host could not take, soon after, and all rooms of the server, in
random order. However many there are, a host looks at no more than `Pace.rooms_per_second`: the server has calls to do.
A room with its agent in it costs one call, any other two. A second look goes before all first ones.
"""

import asyncio
import heapq
import random
import time
from collections.abc import Callable, Collection, Sequence

from msgspec import Struct

from agenthost.errors import AgentHostError, ConnectionLost
from agenthost.internal_errors import InternalErrors
from agenthost.jobs import Offer, RoomInfo
from agenthost.logs.events import EventLogger
from agenthost.metrics import InternalPart, Metrics
from agenthost.recovery.policy import Patience, Service, Sightings, service
from agenthost.recovery.redispatch import Result, redispatch
from agenthost.recovery.server_api import ServerApi
from agenthost.recovery.values import DispatchInfo, Member

FULL = "full"
"""The one refusal that may pass: the others are rules, which are for this host's whole life (or until a reload)."""

_FORGET_SECONDS = 3600.0


class Pace(Struct, frozen=True, kw_only=True):
    """rooms_per_second  the most looks of one host
    cycle            seconds between two lists of all rooms, at least; each host takes up to half as long again
    missed           seconds until the first look at a room whose offer this host could not take
    """

    rooms_per_second: float = 2.0
    cycle: float = 30.0
    missed: float = 5.0


class Watched(Struct, frozen=True, kw_only=True):
    """An agent whose dispatches are looked for. `refusal` says why this host would not take an offer now ("" if it
    would); `sweep`: in all rooms, not only in those whose offer it could not take."""

    id: str
    agent_name: str
    deployment: str
    attempts: int
    sweep: bool
    refusal: Callable[[Offer], str]


class _Due(Struct, frozen=True, order=True):
    """A look that is planned for a moment of the monotonic clock."""

    at: float
    room: str


class Sweeper:
    """`watched` are the agents with recovery; `serving` tells whether this host has a job of a dispatch."""

    def __init__(
        self,
        *,
        server: Callable[[], ServerApi],
        watched: Callable[[], Sequence[Watched]],
        serving: Callable[[str], bool],
        metrics: Metrics,
        log: EventLogger,
        errors: InternalErrors,
        pace: Pace,
        patience: Patience,
    ) -> None:
        self._server = server
        self._watched = watched
        self._serving = serving
        self._metrics = metrics
        self._log = log
        self._errors = errors
        self._pace = pace
        self._patience = patience
        self._sightings = Sightings(patience)
        self._due: list[_Due] = []
        self._rooms: dict[str, RoomInfo] = {}
        self._backlog: list[RoomInfo] = []
        self._given_up: dict[str, float] = {}
        self._next_list = time.monotonic() + pace.cycle * random.random()
        self._wanted = asyncio.Event()
        self._failing = False

    def missed(self, room: RoomInfo) -> None:
        """An offer for this room was not taken here; perhaps by nobody."""
        self._look_at(room, after=self._pace.missed)

    async def run(self) -> None:
        """Look, at the pace; the owner's task, ended by cancelling it."""
        while True:
            if time.monotonic() >= self._next_list:
                with self._errors.contained(InternalPart.RECOVERY):
                    await self._list()
            room = self._next_room()
            if room is None:
                await self._sleep_until(min([self._next_list, *(due.at for due in self._due[:1])]))
                continue
            began = time.monotonic()
            with self._errors.contained(InternalPart.RECOVERY, room=room.name):
                await self._look(room)
            await asyncio.sleep(max(0.0, began + 1 / self._pace.rooms_per_second - time.monotonic()))

    def _next_room(self) -> RoomInfo | None:
        """The room whose look is due, else any of the backlog; None while there is neither."""
        if self._due and self._due[0].at <= time.monotonic():
            return self._rooms.pop(heapq.heappop(self._due).room)
        return self._backlog.pop() if self._backlog else None

    async def _sleep_until(self, moment: float) -> None:
        self._wanted.clear()
        try:
            async with asyncio.timeout(max(0.0, moment - time.monotonic())):
                await self._wanted.wait()
        except TimeoutError:
            pass  # it is time

    def _look_at(self, room: RoomInfo, *, after: float) -> None:
        """Have a look at a room so many seconds from now; an earlier look that is planned stands."""
        if room.name not in self._rooms:
            heapq.heappush(self._due, _Due(time.monotonic() + after, room.name))
        self._rooms[room.name] = room
        self._wanted.set()

    async def _list(self) -> None:
        """Make every room with people in it the backlog, in random order, once that of before is done."""
        now = time.monotonic()
        self._next_list = now + self._pace.cycle * (1.0 + 0.5 * random.random())
        self._sightings.forget_before(now - _FORGET_SECONDS)
        self._given_up = {key: since for key, since in self._given_up.items() if since >= now - _FORGET_SECONDS}
        if self._backlog or not any(agent.sweep for agent in self._watched()):
            return
        try:
            rooms = await self._server().list_rooms()
        except AgentHostError as error:
            self._failed(error)
            return
        self._failing = False
        self._backlog = [room for room in rooms if room.num_participants and room.name not in self._rooms]
        random.shuffle(self._backlog)

    async def _look(self, room: RoomInfo) -> None:
        try:
            unserved = await self._unserved(room)
            now = time.monotonic()
            self._sightings.look(room.name, [dispatch.id for dispatch, _ in unserved], now=now)
            for dispatch, agent in unserved:
                age = time.time() - dispatch.created_at
                if not self._sightings.is_certain(room.name, dispatch.id, now=now, age=age):
                    self._look_at(room, after=self._patience.spacing)
                elif await self._recover(room, dispatch, agent):
                    break  # whether another is missing shows when this one is there
        except AgentHostError as error:
            self._failed(error)
            if isinstance(error, ConnectionLost):
                self._look_at(room, after=self._patience.spacing)

    async def _unserved(self, room: RoomInfo) -> list[tuple[DispatchInfo, Watched]]:
        agents = {(one.agent_name, one.deployment): one for one in self._watched()}
        members = await self._server().list_members(room.name) if agents else ()
        if not _may_miss_one(agents.values(), members):
            return []
        dispatches = await self._server().list_dispatches(room.name)
        known = [(one, agents.get((one.agent_name, one.deployment))) for one in dispatches]
        return [
            (dispatch, agent)
            for dispatch, agent in known
            if agent is not None and not self._serving(dispatch.id) and service(dispatch, members) is Service.UNSERVED
        ]

    async def _recover(self, room: RoomInfo, dispatch: DispatchInfo, agent: Watched) -> bool:
        """Whether it was dispatched again, here or by somebody else."""
        log = self._log.bind(agent=agent.id, room=room.name, dispatch_id=dispatch.id)
        if dispatch.attempt >= agent.attempts:
            known = dispatch.id in self._given_up
            self._given_up[dispatch.id] = time.monotonic()
            if not known:
                self._metrics.given_up(agent.id)
                log.error("job given up", attempts=dispatch.attempt, reason="nobody serves it")
            return False
        refusal = agent.refusal(dispatch.offer(room))
        if refusal:
            log.debug("dispatch not recovered", reason=refusal)
            if refusal == FULL:
                self._look_at(room, after=self._patience.spacing)
            return False
        attempt = dispatch.attempt + 1
        done = await redispatch(self._server(), dispatch, sid=room.sid, attempt=attempt)
        if done.result is Result.DONE:
            self._metrics.dispatched_again(agent.id, cause="recovery")
            log.warning("dispatched again", cause="recovery", attempt=attempt, new_dispatch_id=done.dispatch_id)
        else:
            level = log.error if done.result is Result.LOST else log.debug
            level("dispatch not recovered", reason=done.result.value)
        return True

    def _failed(self, error: AgentHostError) -> None:
        """Said once until a list of rooms succeeds again: a server that is away is away for every room."""
        level = self._log.debug if self._failing else self._log.warning
        level("recovery cannot look", reason=str(error))
        self._failing = True


def _may_miss_one(agents: Collection[Watched], members: Sequence[Member]) -> bool:
    there = {member.agent_name for member in members}
    return any(member.is_person for member in members) and any(agent.agent_name not in there for agent in agents)
