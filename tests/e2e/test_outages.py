"""The server goes away and comes back, for as long as clients can bear it and longer: what becomes of a call.

Slow by nature, and each with a server of its own, since it is killed.
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from livekit import api, rtc
from livekit.protocol import models

from tests.support.host import HostProcess, write_agent
from tests.support.polling import poll
from tests.support.protocols import RunHost
from tests.support.real_server import RealLiveKitServer

pytestmark = [pytest.mark.e2e, pytest.mark.slow(80), pytest.mark.timeout(300)]

CODE = """
from agenthost import JobContext

async def entrypoint(ctx: JobContext) -> None:
    await ctx.connect()
"""
FILE = """
version: 1
entrypoint: my_agent:entrypoint
http: { listen: none }
control: { socket: none }
recovery: true
load: { max_jobs: 5 }
restart: on-failure
drain_timeout: 100ms
log_level: DEBUG
"""
ROOM = "call"


@pytest.fixture
def server(livekit_binary: Path, tmp_path: Path) -> Iterator[RealLiveKitServer]:
    """A server that only this test uses."""
    with RealLiveKitServer(livekit_binary, tmp_path) as own:
        yield own


async def person_in(server: RealLiveKitServer) -> rtc.Room:
    token = api.AccessToken(server.api_key, server.api_secret).with_identity("caller")
    room = rtc.Room()
    await room.connect(server.url, token.with_grants(api.VideoGrants(room_join=True, room=ROOM)).to_jwt())
    return room


async def agents_in(server: RealLiveKitServer) -> list[str]:
    async with api.LiveKitAPI(server.url, server.api_key, server.api_secret) as lk:
        there = await lk.room.list_participants(api.ListParticipantsRequest(room=ROOM))
    return [one.identity for one in there.participants if one.kind == models.ParticipantInfo.Kind.AGENT]


def has_tried(host: HostProcess, attempt: int) -> bool:
    """Whether the livekit.rtc of a job has begun its `attempt`-th try to reconnect."""
    return any(line.message.endswith(f"attempt: {attempt}") for line in host.lines)


async def start(run_host: RunHost, server: RealLiveKitServer, folder: Path) -> HostProcess:
    host = await run_host(write_agent(folder, CODE, FILE), server=server)
    await host.wait_event("registered")
    return host


@pytest.mark.parametrize("attempt", [4, 7])
async def test_job_lives_through_an_outage_and_stays_the_only_one(
    run_host: RunHost, server: RealLiveKitServer, tmp_path: Path, attempt: int
) -> None:
    """The server forgets everything, and may offer the returned room anew: this host says no, `duplicate`. The room's
    new sid does not make the host end the job as one whose room is gone.

    livekit.rtc tries ten times, after pauses that it draws: some 14 to 32 s in all. So an outage is as long here as the
    job needs for that many tries (seconds; ten or so), and the person, who draws pauses too, may have to call again."""
    host = await start(run_host, server, tmp_path)
    caller = await person_in(server)
    joined = await host.wait_event("job connected", timeout=30)
    server.kill()
    assert await poll(lambda: has_tried(host, attempt), timeout=60)
    server.start()
    await host.wait_event("registered", count=2, timeout=60)
    if not caller.isconnected():
        caller = await person_in(server)
    agent = f"agent-{joined.fields['job_id']}"
    await poll(
        lambda: agent in {one.identity for one in caller.remote_participants.values()},
        timeout=60,
        what="the agent did not come back",
    )
    assert await agents_in(server) == [agent]
    assert not host.events("job ended")
    await caller.disconnect()


async def test_job_that_nobody_could_reconnect_ends_as_room_lost(
    run_host: RunHost, server: RealLiveKitServer, tmp_path: Path
) -> None:
    """After 75 s everybody has given up. The job is not brought back into the room that is no more; the person who
    calls again is served, once: at once, or by recovery, since the server may not offer anything to a worker that it
    has known for a moment only."""
    host = await start(run_host, server, tmp_path)
    first = await person_in(server)
    await host.wait_event("job connected", timeout=30)
    server.kill()
    await asyncio.sleep(75)
    server.start()
    ended = await host.wait_event("job ended", timeout=30)
    assert (ended.fields["reason"], ended.fields["outcome"]) == ("room lost", "failed")
    await host.wait_event("registered", count=2, timeout=60)
    await first.disconnect()
    again = await person_in(server)
    second = await host.wait_event("job connected", count=2, timeout=120)
    assert await agents_in(server) == [f"agent-{second.fields['job_id']}"]
    await again.disconnect()
