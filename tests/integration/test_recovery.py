"""Dispatches that nobody serves are found and served, once: real recovery of several small hosts, the fake server.

The waits are the product's own, a hundred times shorter (two looks 250 ms apart, at least 300 ms old).
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import pytest
from livekit.protocol import agent, agent_dispatch, models

from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.testing.rooms import Dispatch
from tests.support.polling import poll
from tests.support.recovering_host import AGENT, RecoveringHost

Start = Callable[..., "asyncio.Future[RecoveringHost]"]
AGENT_KIND = models.ParticipantInfo.Kind.AGENT
SOON = 10.0
LONG_ENOUGH = 1.5
"""Five times what recovery needs for a decision: what has not happened by then does not happen."""


@pytest.fixture
async def start(fake_server: FakeLiveKitServer) -> AsyncIterator[Start]:
    """`await start()` gives a host with recovery; all end with the test."""
    async with AsyncExitStack() as stack:

        async def run(**options: object) -> RecoveringHost:
            return await stack.enter_async_context(RecoveringHost(fake_server, **options))  # type: ignore[arg-type]

        yield run  # type: ignore[misc]


async def call(server: FakeLiveKitServer, room: str, *, people: int = 1) -> Dispatch:
    """A room with people in it that the agent is dispatched to."""
    record = server.rooms.create_quietly(room)
    request = agent_dispatch.CreateAgentDispatchRequest(agent_name=AGENT, room=room, metadata="hello")
    for number in range(people):
        await server.join(room, f"caller-{number}")
    return server.rooms.dispatch(record, request)


def agents_in(server: FakeLiveKitServer, room: str) -> int:
    there = server.rooms.room(room).participants.values()
    return sum(one.kind == AGENT_KIND and one.attributes.get("lk.agent_name") == AGENT for one in there)


async def wait_served(server: FakeLiveKitServer, *rooms: str, timeout: float = SOON) -> None:
    """Until there is one agent in each room; more than one in any of them fails at once."""

    def look() -> bool:
        counts = [agents_in(server, room) for room in rooms]
        assert max(counts) <= 1, f"two agents in a room: {dict(zip(rooms, counts, strict=True))}"
        return all(counts)

    await poll(look, timeout=timeout, what="rooms without an agent")


async def stays_so(condition: Callable[[], bool]) -> None:
    """It holds for as long as a recovery could come."""
    deadline = time.monotonic() + LONG_ENOUGH
    while time.monotonic() < deadline:
        assert condition()
        await asyncio.sleep(0.02)


async def test_offer_that_everybody_rejected_is_made_again_when_there_is_room(
    fake_server: FakeLiveKitServer, start: Start
) -> None:
    """Not before: a dispatch made anew for a full host is rejected again."""
    host = await start(capacity=1)
    await call(fake_server, "first")
    await wait_served(fake_server, "first")
    dispatch = await call(fake_server, "second")
    await stays_so(lambda: dispatch.info.id in fake_server.rooms.room("second").dispatches)
    host.capacity = 2
    await wait_served(fake_server, "first", "second")
    (again,) = fake_server.rooms.room("second").dispatches.values()
    assert (again.info.metadata, again.info.attributes["agenthost.attempt"]) == ("hello", "1")


async def test_offer_answered_too_late_is_made_again() -> None:
    """The server gives up, and never asks anybody else; also a host that does not sweep knows what it has missed."""
    async with FakeLiveKitServer(budget=0.03) as server, RecoveringHost(server, sweep=False) as slow:
        slow.answers = False
        await call(server, "room")
        await server.wait_offer("room", AGENT)
        slow.answers = True
        await wait_served(server, "room")


async def test_calls_of_a_killed_host_are_taken_over_by_the_others_once(
    fake_server: FakeLiveKitServer, start: Start
) -> None:
    """Three hosts look at the same time; each call gets exactly one new agent, and each dispatch is made anew once."""
    dead = RecoveringHost(fake_server)
    await dead.__aenter__()
    rooms = [f"room-{number}" for number in range(12)]
    for room in rooms:
        await call(fake_server, room)
    await wait_served(fake_server, *rooms)
    others = [await start() for _ in range(3)]
    await dead.die()
    for room in rooms:
        await dead.lose(room)
    await wait_served(fake_server, *rooms)
    await stays_so(lambda: max(agents_in(fake_server, room) for room in rooms) == 1)
    attempts = Counter(
        dispatch.info.attributes["agenthost.attempt"]
        for room in rooms
        for dispatch in fake_server.rooms.room(room).dispatches.values()
    )
    assert attempts == {"1": len(rooms)}
    assert sum(other.recovered for other in others) == len(rooms)


async def test_ghost_of_a_killed_host_is_waited_out(fake_server: FakeLiveKitServer, start: Start) -> None:
    """While its participant is there it counts as an agent: it might only be reconnecting."""
    host = await start()
    fake_server.rooms.create_quietly("room")
    await fake_server.join("room", "ghost", kind=AGENT_KIND, attributes={"lk.agent_name": AGENT})
    host.answers = False
    dispatch = await call(fake_server, "room")
    await fake_server.wait_offer("room", AGENT, timeout=5)
    host.answers = True
    await stays_so(lambda: dispatch.info.id in fake_server.rooms.room("room").dispatches)
    await fake_server.rooms.leave("room", "ghost")
    await wait_served(fake_server, "room")


async def test_agent_that_is_away_for_a_moment_is_not_replaced(fake_server: FakeLiveKitServer, start: Start) -> None:
    """It comes back between two looks, again and again, and no second agent joins it."""
    host = await start()
    await call(fake_server, "room")
    await wait_served(fake_server, "room")
    ((dispatch_id, identity),) = host.serves.items()
    other = await start()
    participants = fake_server.rooms.room("room").participants
    del host.serves[dispatch_id]  # not even the host that runs it remembers: only the room can tell
    for _ in range(6):
        away = participants.pop(identity)
        await asyncio.sleep(0.18)
        participants[identity] = away
        await asyncio.sleep(0.36)
    assert (host.recovered, other.recovered) == (0, 0)


async def test_job_that_is_not_listed_yet_and_joins_late_is_not_taken_for_lost() -> None:
    """The server lists a job 5 s late, and an agent may take 20 s to join; another host looks at the room meanwhile."""
    scale = 20.0
    async with FakeLiveKitServer(list_lag=5.0 / scale) as server, AsyncExitStack() as stack:
        slow = await stack.enter_async_context(RecoveringHost(server, scale=scale, joins_after=20.0 / scale))
        await call(server, "room")
        await poll(lambda: slow.serves, timeout=SOON, what="nobody answered")
        eager = await stack.enter_async_context(RecoveringHost(server, scale=scale))
        await poll(lambda: eager.api.calls, timeout=SOON, what="it never looked")
        await wait_served(server, "room")
        await stays_so(lambda: agents_in(server, "room") == 1 and not eager.recovered)


@pytest.mark.parametrize("people", [0, 1])
async def test_only_rooms_with_people_are_served_again(
    fake_server: FakeLiveKitServer, start: Start, people: int
) -> None:
    """Recorders and agents need no agent."""
    host = await start(capacity=0)
    await call(fake_server, "room", people=people)
    await fake_server.join("room", "recorder", kind=models.ParticipantInfo.Kind.EGRESS)
    await fake_server.wait_offer("room", AGENT)
    host.capacity = 1
    if people:
        await wait_served(fake_server, "room")
    else:
        await stays_so(lambda: agents_in(fake_server, "room") == 0)


async def test_what_our_own_rules_reject_is_not_ours_to_bring_back(
    fake_server: FakeLiveKitServer, start: Start
) -> None:
    """Another host may have other rules, and takes it."""
    picky = await start(capacity=0, refuses="rule")
    await call(fake_server, "room")
    await fake_server.wait_offer("room", AGENT)
    picky.capacity = 1
    await stays_so(lambda: agents_in(fake_server, "room") == 0)
    assert picky.recovered == 0
    await start()
    await wait_served(fake_server, "room")


async def test_other_names_and_deployments_are_left_alone(fake_server: FakeLiveKitServer, start: Start) -> None:
    """Their hosts look after them."""
    host = await start()
    await fake_server.join("room", "caller")
    for name, deployment in (("stranger", ""), (AGENT, "blue")):
        request = agent_dispatch.CreateAgentDispatchRequest(agent_name=name, room="room", deployment=deployment)
        fake_server.rooms.dispatch(fake_server.rooms.room("room"), request)
    await stays_so(lambda: host.recovered == 0)


async def test_dispatch_that_was_ended_for_good_stays_so(fake_server: FakeLiveKitServer, start: Start) -> None:
    """`terminate` means: nobody shall serve it."""
    dispatch = await call(fake_server, "room")
    job = agent.Job(id="AJ_ended", dispatch_id=dispatch.info.id)
    job.state.status = agent.JobStatus.JS_SUCCESS
    dispatch.jobs.append((0.0, job))
    host = await start()
    await stays_so(lambda: host.recovered == 0)


async def test_attempts_end(fake_server: FakeLiveKitServer, start: Start) -> None:
    """A call that kills whoever serves it does not go round for ever."""
    host = await start(attempts=2)
    await call(fake_server, "room")
    for attempt in ("", "1", "2"):
        await wait_served(fake_server, "room")
        (dispatch,) = fake_server.rooms.room("room").dispatches.values()
        assert dispatch.info.attributes.get("agenthost.attempt", "") == attempt
        await host.lose("room")
    await poll(lambda: host.metrics.jobs_given_up(AGENT), timeout=SOON, what="it was not given up")
    await stays_so(lambda: agents_in(fake_server, "room") == 0)
    assert host.metrics.jobs_given_up(AGENT) == 1


async def test_draining_host_looks_for_nothing(fake_server: FakeLiveKitServer, start: Start) -> None:
    """It could not serve what it finds."""
    host = await start(draining=True, capacity=0)
    await call(fake_server, "room")
    await stays_so(lambda: host.api.calls == 0)


async def test_server_that_restarts_is_looked_at_again(fake_server: FakeLiveKitServer, start: Start) -> None:
    """An error ends no search."""
    host = await start(capacity=0)
    await fake_server.stop()
    calls = host.api.calls
    await poll(lambda: host.api.calls > calls, timeout=SOON, what="it did not try")
    await fake_server.start()
    await start()  # the first one's worker does not reconnect: it is a worker by hand
    fake_server.rooms.create_quietly("room")
    await fake_server.join("room", "caller")
    request = agent_dispatch.CreateAgentDispatchRequest(agent_name=AGENT, room="room")
    fake_server.rooms.add_dispatch(fake_server.rooms.room("room"), request)  # lost: it is offered to nobody
    host.capacity = 1
    await wait_served(fake_server, "room")


@pytest.mark.slow(33)
@pytest.mark.timeout(150)
async def test_thousand_rooms_and_twenty_hosts(
    fake_server: FakeLiveKitServer, record_property: Callable[..., None]
) -> None:
    """Half of the hosts die with their calls: all are served again, once; no host asks more than it may.

    Ten times faster than in reality: what is measured here in seconds takes ten times as long there.
    """
    scale, rooms = 10.0, [f"room-{number}" for number in range(1000)]
    async with AsyncExitStack() as stack:
        hosts = [await stack.enter_async_context(RecoveringHost(fake_server, scale=scale)) for _ in range(20)]
        living, dying = hosts[:10], hosts[10:]
        for first in range(0, len(rooms), 50):  # all at once would be seconds of work for this loop, and joins late
            some = rooms[first : first + 50]
            for room in some:
                await call(fake_server, room)
            await wait_served(fake_server, *some, timeout=60)
        doomed = {dispatch_id for host in dying for dispatch_id in host.serves}
        lost = [room for room in rooms if doomed & set(fake_server.rooms.room(room).dispatches)]
        for host in dying:
            await host.die()
        for host in dying:
            for room in lost:
                await host.lose(room)
        before, began = sum(host.api.calls for host in living), time.monotonic()
        while True:
            if all(agents_in(fake_server, room) for room in lost):
                break
            await asyncio.sleep(0.5)  # looking at a thousand rooms is work, on the loop that all hosts share
        seconds = time.monotonic() - began
        calls = sum(host.api.calls for host in living) - before
    rate = calls / seconds / len(living) / scale
    summary = f"{len(lost)} calls lost, all back in {seconds * scale:.0f} s, {rate:.1f} calls a second and host"
    logging.getLogger(__name__).info(summary)
    assert len(lost) > 300, summary
    assert sum(host.recovered for host in living) == len(lost), summary
    assert rate <= 2 * 5, summary  # two rooms a second; the dearest room costs five calls
