"""Hosts that die, fill up, fall silent and drain while calls go on; with recovery every call has one agent in the end.

Small hosts in one process, in front of the fake server, with waits a hundred times shorter than in reality.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable

from livekit.protocol import agent_dispatch, models

from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.support.recovering_host import AGENT, RecoveringHost

SCALE = 100.0
TURN_SECONDS = 0.01
GHOST_SECONDS = 20.0 / SCALE
MANY = 10_000


class LostCalls:
    """`await LostCalls(server, seed=1).run(rooms=50, seconds=5)`; the hosts of the end are left to the caller."""

    def __init__(self, server: FakeLiveKitServer, *, seed: int) -> None:
        self.hosts: list[RecoveringHost] = []
        self.deaths = 0
        self.recovered = 0
        self.wrong: set[str] = set()
        self._server = server
        self._random = random.Random(seed)
        self._rooms: list[str] = []

    async def run(self, *, rooms: int, seconds: float, at_least: int = 2) -> None:
        """Call by call, harm by harm; then peace, in which every call is to be served.

        The seed alone says what happens, and in which order; a machine that is busy takes longer than `seconds` for it.
        """
        for _ in range(at_least + 1):
            await self._start()
        turns = round(seconds / TURN_SECONDS)
        for turn in range(turns):
            if len(self._rooms) < rooms * turn / turns:
                await self._call()
            elif self._random.random() < 0.1:
                await self._random.choice(self._harms(at_least))()
            self._look()
            await asyncio.sleep(TURN_SECONDS)
        for host in self.hosts:
            host.capacity, host.answers, host.draining = MANY, True, False

    def unserved(self) -> list[str]:
        """Calls without an agent now."""
        self._look()
        return [room for room in self._rooms if not self._agents(room)]

    def _harms(self, at_least: int) -> list[Callable[[], Awaitable[None]]]:
        harms = [self._start, self._fill, self._silence, self._drain]
        return [*harms, self._kill] if len(self.hosts) > at_least else harms

    async def _call(self) -> None:
        room = f"room-{len(self._rooms)}"
        record = self._server.rooms.create_quietly(room)
        self._rooms.append(room)
        await self._server.join(room, "caller")
        request = agent_dispatch.CreateAgentDispatchRequest(agent_name=AGENT, room=room)
        self._server.rooms.dispatch(record, request)

    async def _start(self) -> None:
        if len(self.hosts) < 6:
            self.hosts.append(await RecoveringHost(self._server, scale=SCALE, attempts=MANY).__aenter__())

    async def _kill(self) -> None:
        host = self.hosts.pop(self._random.randrange(len(self.hosts)))
        await host.__aexit__(None, None, None)
        self.deaths += 1
        self.recovered += host.recovered
        asyncio.get_running_loop().call_later(GHOST_SECONDS, self._remove_ghosts, set(host.serves.values()))

    def _remove_ghosts(self, identities: set[str]) -> None:
        for room in self._rooms:
            participants = self._server.rooms.room(room).participants
            for identity in identities & set(participants):
                del participants[identity]

    async def _fill(self) -> None:
        self._any().capacity = self._random.choice([0, 5, MANY])

    async def _silence(self) -> None:
        self._any().answers = self._random.random() < 0.5

    async def _drain(self) -> None:
        host = self._any()
        host.draining = self._random.random() < 0.5
        host.capacity = 0 if host.draining else MANY

    def _any(self) -> RecoveringHost:
        return self._random.choice(self.hosts)

    def _look(self) -> None:
        """At no moment are there two agents in a room."""
        self.wrong |= {f"two agents in {room}" for room in self._rooms if self._agents(room) > 1}

    def _agents(self, room: str) -> int:
        kind = models.ParticipantInfo.Kind.AGENT
        return sum(one.kind == kind for one in self._server.rooms.room(room).participants.values())
