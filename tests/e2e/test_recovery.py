"""Restart and recovery on the real server: what is lost there comes back, once.

Slow by nature: a dead agent's participant stays 20 seconds, and two looks are 25 seconds apart.
"""

import asyncio
import os
import signal
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import pytest
from livekit import api
from livekit.protocol import models
from livekit.protocol.agent_dispatch import AgentDispatch

from tests.support.host import HostProcess, write_agent
from tests.support.polling import poll
from tests.support.protocols import Join, RunHost
from tests.support.real_server import RealLiveKitServer
from tests.support.room_link import RoomLink

pytestmark = pytest.mark.e2e

CODE = """
import asyncio, os, signal
from agenthost import JobContext

async def entrypoint(ctx: JobContext) -> None:
    while ctx.job.metadata == "wait" and not os.path.exists("go"):
        await asyncio.sleep(0.02)
    await ctx.connect()
    match (ctx.job.metadata, ctx.attempt):
        case ("die", 1):
            os.kill(os.getpid(), signal.SIGKILL)
        case ("leave", _):
            ctx.shutdown("done")
"""
FILE = """
version: 1
agent_name: {name}
entrypoint: my_agent:entrypoint
http: {{ listen: none }}
control: {{ socket: none }}
drain_timeout: 100ms
{keys}
"""
RESTART = "restart: { policy: on-failure, attempts: 2, backoff: 100ms }"
RECOVERY = "recovery: true\nload: { max_jobs: 5 }"


@pytest.fixture
def name() -> str:
    """An agent name, and part of the rooms' names, that no other test has used on this server."""
    return f"agent-{uuid.uuid4().hex[:8]}"


async def start(run_host: RunHost, server: RealLiveKitServer, folder: Path, name: str, keys: str) -> HostProcess:
    folder.mkdir(exist_ok=True)
    host = await run_host(write_agent(folder, CODE, FILE.format(name=name, keys=keys)), server=server, cwd=folder)
    await host.wait_event("registered", agent=name)
    return host


class BeginCall(Protocol):
    async def __call__(
        self, keys: str, *, metadata: str, attributes: Mapping[str, str] | None = None
    ) -> tuple[HostProcess, str]: ...


@pytest.fixture
def begin_call(
    run_host: RunHost,
    livekit_server: RealLiveKitServer,
    livekit_api: api.LiveKitAPI,
    participant: Join,
    tmp_path: Path,
    name: str,
) -> BeginCall:
    """Start a host with `keys`, and have its agent asked into a room in which somebody is; the host and the room."""

    async def begin(
        keys: str, *, metadata: str, attributes: Mapping[str, str] | None = None
    ) -> tuple[HostProcess, str]:
        room = f"room-{name}"
        host = await start(run_host, livekit_server, tmp_path, name, keys)
        await participant(room)
        request = api.CreateAgentDispatchRequest(
            agent_name=name, room=room, metadata=metadata, attributes=dict(attributes or {})
        )
        await livekit_api.agent_dispatch.create_dispatch(request)
        return host, room

    return begin


async def agents_in(lk: api.LiveKitAPI, room: str, name: str) -> list[str]:
    """The identities of the agents of this name."""
    answer = await lk.room.list_participants(api.ListParticipantsRequest(room=room))
    kind = models.ParticipantInfo.Kind.AGENT
    return [p.identity for p in answer.participants if p.kind == kind and p.attributes.get("lk.agent_name") == name]


async def dispatches_of(lk: api.LiveKitAPI, room: str, name: str) -> list[AgentDispatch]:
    return [one for one in await lk.agent_dispatch.list_dispatch(room) if one.agent_name == name]


async def wait_listed(lk: api.LiveKitAPI, room: str, name: str) -> None:
    """Until the job of the dispatch is listed: before, the server does not connect a participant with it."""
    async with asyncio.timeout(30):
        while True:
            if any(one.state.jobs for one in await dispatches_of(lk, room, name)):
                return
            await asyncio.sleep(0.1)


async def watch(
    lk: api.LiveKitAPI, rooms: Sequence[str], name: str, *, other_than: Sequence[str], timeout: float
) -> None:
    """Until each room has one new agent; two new ones in one room fail at any moment."""
    async with asyncio.timeout(timeout):
        while True:
            counts = []
            for room in rooms:
                new = [one for one in await agents_in(lk, room, name) if one not in other_than]
                assert len(new) <= 1, f"two agents in {room}: {new}"
                counts.append(len(new))
            if all(counts):
                return
            await asyncio.sleep(0.5)


async def test_job_whose_first_try_to_join_failed_is_not_ended(
    begin_call: BeginCall, livekit_api: api.LiveKitAPI, participant: Join, tmp_path: Path, name: str
) -> None:
    """Its participant came and went, so the server sends a termination; the job joins all the same, and stays."""
    host, room = await begin_call(RECOVERY, metadata="wait")
    job = (await host.wait_event("job started", timeout=30)).fields["job_id"]
    await wait_listed(livekit_api, room, name)
    first_try = await participant(room, f"agent-{job}", agent=True, attributes={"lk.agent_name": name})
    await first_try.disconnect()
    await host.wait_event("termination ignored", job_id=job, timeout=30)
    (tmp_path / "go").touch()
    await host.wait_event("job connected", job_id=job, timeout=30)
    assert await agents_in(livekit_api, room, name) == [f"agent-{job}"]
    assert host.events("job stopping") == []


@pytest.mark.slow(40)
@pytest.mark.timeout(240)
@pytest.mark.parametrize("keys", [RECOVERY, "type: participant"])
async def test_job_whose_connection_is_made_anew_stays_in_its_room(
    run_host: RunHost,
    livekit_server: RealLiveKitServer,
    livekit_api: api.LiveKitAPI,
    participant: Join,
    tmp_path: Path,
    name: str,
    keys: str,
) -> None:
    """Its network breaks and cannot be resumed, while the host stays registered: livekit.rtc joins as a new
    participant, and the server sends a termination for the old one. The person keeps the agent, until it is ended."""
    room = f"room-{name}"
    async with RoomLink().to(livekit_server.port) as link:
        file = FILE.format(name=name, keys=keys)
        url = {"LIVEKIT_URL": f"ws://127.0.0.1:{link.port}"}
        host = await run_host(write_agent(tmp_path, CODE, file), server=livekit_server, env=url)
        await host.wait_event("registered", agent=name)
        caller = await participant(room)
        seen: list[str] = []
        caller.on("participant_connected", lambda one: seen.append(one.sid))
        await livekit_api.agent_dispatch.create_dispatch(api.CreateAgentDispatchRequest(agent_name=name, room=room))
        job = (await host.wait_event("job connected", timeout=30)).fields["job_id"]
        await poll(lambda: seen, timeout=30, what="the person saw no agent")
        await wait_listed(livekit_api, room, name)
        link.break_rooms()
        await poll(lambda: any("attempt: 3" in line.message for line in host.lines), timeout=30, what="it did not try")
        link.mend()
        await host.wait_event("termination ignored", job_id=job, timeout=60)
        await poll(lambda: len(seen) == 2, timeout=30, what="the agent did not come back")
        assert await agents_in(livekit_api, room, name) == [f"agent-{job}"]
        assert host.events("job stopping") == []
        (dispatch,) = await dispatches_of(livekit_api, room, name)
        await livekit_api.agent_dispatch.delete_dispatch(dispatch.id, room)
        await host.wait_event("job ended", job_id=job, reason="terminated by the server", timeout=60)


async def test_crashed_job_is_back_in_its_room_without_its_ghost(
    begin_call: BeginCall, livekit_api: api.LiveKitAPI, name: str
) -> None:
    """The person hears the new agent within seconds, and only that one."""
    host, room = await begin_call(RESTART, metadata="die", attributes={"mine": "kept"})
    second = (await host.wait_event("job started", timeout=30, count=2)).fields["job_id"]
    await host.wait_event("job connected", timeout=30, job_id=second)
    assert await agents_in(livekit_api, room, name) == [f"agent-{second}"]
    (dispatch,) = await dispatches_of(livekit_api, room, name)
    assert (dispatch.metadata, dispatch.attributes) == ("die", {"mine": "kept", "agenthost.attempt": "1"})


async def test_job_that_left_on_purpose_takes_its_dispatch_along(
    begin_call: BeginCall, livekit_api: api.LiveKitAPI, name: str
) -> None:
    """So that no host with recovery takes it for lost, while the person is still in the room."""
    host, room = await begin_call(RECOVERY, metadata="leave")
    await host.wait_event("job ended", room=room, reason="done", timeout=30)
    async with asyncio.timeout(10):
        while True:
            if not await dispatches_of(livekit_api, room, name):
                return
            await asyncio.sleep(0.1)


@pytest.mark.slow(69)
@pytest.mark.timeout(240)
async def test_calls_of_a_killed_host_are_taken_over_once(
    run_host: RunHost,
    livekit_server: RealLiveKitServer,
    livekit_api: api.LiveKitAPI,
    participant: Join,
    tmp_path: Path,
    name: str,
) -> None:
    """Host A dies with two calls, B and C look for them at once: one new agent in each room, each dispatch made
    anew once, the dead one deleted."""
    rooms = [f"room-{name}-{number}" for number in range(2)]
    first = await start(run_host, livekit_server, tmp_path / "a", name, RECOVERY)
    for number, room in enumerate(rooms, start=1):
        await participant(room)
        await livekit_api.agent_dispatch.create_dispatch(api.CreateAgentDispatchRequest(agent_name=name, room=room))
        await first.wait_event("job connected", count=number, timeout=30)
    before = [identity for room in rooms for identity in await agents_in(livekit_api, room, name)]
    others = [await start(run_host, livekit_server, tmp_path / folder, name, RECOVERY) for folder in "bc"]
    os.kill(first.pid, signal.SIGKILL)
    await watch(livekit_api, rooms, name, other_than=before, timeout=180)
    again = [line for host in others for line in host.events("dispatched again")]
    assert sorted(line.fields["room"] for line in again) == rooms
    for room in rooms:
        (dispatch,) = await dispatches_of(livekit_api, room, name)
        assert dispatch.attributes == {"agenthost.attempt": "1"}


@pytest.mark.slow(31)
@pytest.mark.timeout(240)
async def test_call_that_a_full_host_rejected_is_served_when_a_slot_is_free(
    run_host: RunHost,
    livekit_server: RealLiveKitServer,
    livekit_api: api.LiveKitAPI,
    participant: Join,
    tmp_path: Path,
    name: str,
) -> None:
    """The server told nobody; the host remembers whom it turned away."""
    rooms = [f"room-{name}-{number}" for number in range(2)]
    host = await start(run_host, livekit_server, tmp_path, name, "recovery: true\nload: { max_jobs: 1 }")
    for room in rooms:
        await participant(room)
    # at once, so that the second is offered before the server hears that the host is full
    dispatches = [api.CreateAgentDispatchRequest(agent_name=name, room=room) for room in rooms]
    await asyncio.gather(*map(livekit_api.agent_dispatch.create_dispatch, dispatches))
    served = await host.wait_event("job connected", timeout=30)
    await livekit_api.room.delete_room(api.DeleteRoomRequest(room=served.fields["room"]))
    await poll(lambda: len(host.events("job connected")) == 2, timeout=180, what="the other call has no agent")
    assert host.events("job connected")[1].fields["room"] != served.fields["room"]
