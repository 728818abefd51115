"""Code that joins by itself, with a room that it makes: the job is where its participant is."""

import asyncio
from pathlib import Path

import pytest
from livekit import api

from agenthost.ipc.messages import Connected, Ended, Heartbeat
from tests.support.host import write_agent
from tests.support.job_process import Fork, JobProcess
from tests.support.protocols import Join, RunHost
from tests.support.real_server import RealLiveKitServer

pytestmark = pytest.mark.e2e

JOINS = """
    from livekit import rtc

    async def entrypoint(ctx):
        room = rtc.Room()
        await room.connect(ctx.url, ctx.token)
"""
IN_A_THREAD = """
    import asyncio, threading
    from livekit import rtc

    async def transport(ctx):
        room, left = rtc.Room(), asyncio.Event()
        room.on("disconnected", lambda reason: left.set())
        await room.connect(ctx.url, ctx.token)
        await left.wait()

    async def entrypoint(ctx):
        await asyncio.to_thread(lambda: asyncio.run(transport(ctx)))
"""
"""As a framework that has a loop of its own."""

ELSEWHERE = """
    import asyncio, sys

    async def entrypoint(ctx):
        program = await asyncio.create_subprocess_exec(sys.executable, "program.py", ctx.url, ctx.token)
        await program.wait()
"""
PROGRAM = """
import asyncio, sys
from livekit import rtc

async def join():
    room, left = rtc.Room(), asyncio.Event()
    room.on("disconnected", lambda reason: left.set())
    await room.connect(*sys.argv[1:])
    await left.wait()

asyncio.run(join())
"""
"""One of its own, as another framework may start for each call."""

YAML = """
    version: 1
    agent_name: own
    entrypoint: my_agent:entrypoint
    load: { max_jobs: 9 }
    http: { listen: none }
    limits: { connect: 1s, empty_room: 2s }
"""


async def counts(process: JobProcess, people: int) -> Heartbeat:
    """The first heartbeat that says so."""
    while (beat := await asyncio.to_thread(process.receive, Heartbeat)).people != people:
        pass
    return beat


@pytest.mark.parametrize("code", [JOINS, IN_A_THREAD], ids=["on its loop", "in a thread"])
async def test_the_job_is_where_its_participant_is(
    code: str, run_job: Fork, participant: Join, livekit_api: api.LiveKitAPI
) -> None:
    """The host hears that it has joined, and who is there with it; the end of that room is the job's."""
    process = run_job("own-room", code)
    await asyncio.to_thread(process.receive, Connected)
    caller = await participant("own-room")
    assert (await counts(process, 1)).connected
    await caller.disconnect()
    await counts(process, 0)
    await livekit_api.room.delete_room(api.DeleteRoomRequest(room="own-room"))
    assert await asyncio.to_thread(process.end) == Ended(kind="succeeded", reason="room deleted")


@pytest.mark.parametrize("code", [JOINS, IN_A_THREAD], ids=["on its loop", "in a thread"])
async def test_a_job_that_is_stopped_leaves_it(
    code: str, run_job: Fork, participant: Join, livekit_api: api.LiveKitAPI
) -> None:
    """No ghost stays behind."""
    await participant("stopped-own")
    process = run_job("stopped-own", code)
    await asyncio.to_thread(process.receive, Connected)
    process.stop("drain deadline", grace_seconds=0.1)
    assert await asyncio.to_thread(process.end) == Ended(kind="stopped", reason="drain deadline")
    present = await livekit_api.room.list_participants(api.ListParticipantsRequest(room="stopped-own"))
    assert [one.identity for one in present.participants] == ["caller"]


async def test_leaving_it_is_the_end(run_job: Fork) -> None:
    """As leaving ctx.room."""
    code = JOINS + "        await room.disconnect()\n        await __import__('asyncio').sleep(5)\n"
    ended = await asyncio.to_thread(run_job("left-own", code).end)
    assert ended == Ended(kind="succeeded", reason="room left")


async def test_one_that_has_joined_anew_before_it_left_stays(run_job: Fork) -> None:
    """The server sends the first one away; the job is in its room all the same."""
    code = """
    import asyncio
    from livekit import rtc

    async def entrypoint(ctx):
        first, second, sent_away = rtc.Room(), rtc.Room(), asyncio.Event()
        await first.connect(ctx.url, ctx.token)
        first.on("disconnected", lambda reason: sent_away.set())
        connecting = asyncio.create_task(second.connect(ctx.url, ctx.token))
        await asyncio.gather(connecting, sent_away.wait())
        print("anew", flush=True)
        await asyncio.Event().wait()
    """
    process = run_job("anew", code)
    await asyncio.to_thread(process.receive, Connected)
    await asyncio.to_thread(process.receive, Connected)
    assert (await asyncio.to_thread(process.receive, Heartbeat)).connected
    process.stop("enough", grace_seconds=0.1)
    assert (await asyncio.to_thread(process.end)).reason == "enough"


async def test_another_participant_in_the_room_is_not_the_job(run_job: Fork, livekit_server: RealLiveKitServer) -> None:
    """A listener that the code has joined besides, with a token of its own."""
    token = api.AccessToken(livekit_server.api_key, livekit_server.api_secret).with_identity("listener")
    token.with_grants(api.VideoGrants(room_join=True, room="besides"))
    code = JOINS.replace("ctx.token", "ctx.settings['token']")
    process = run_job("besides", code, start={"settings": {"token": token.to_jwt()}})
    assert await asyncio.to_thread(process.end) == Ended(kind="succeeded", reason="entrypoint returned")


async def test_the_limits_hold_for_it(
    tmp_path: Path,
    run_any_host: RunHost,
    livekit_server: RealLiveKitServer,
    participant: Join,
    livekit_api: api.LiveKitAPI,
) -> None:
    """It is not warned about as one that does not connect, and it ends when everybody has left it."""
    host = await run_any_host(write_agent(tmp_path, JOINS, YAML), server=livekit_server)
    await host.wait_event("registered")
    caller = await participant("own-limits")
    request = api.CreateAgentDispatchRequest(agent_name="own", room="own-limits")
    await livekit_api.agent_dispatch.create_dispatch(request)
    await host.wait_event("job connected")
    await caller.disconnect()
    ended = await host.wait_event("job ended")
    assert (ended.fields["outcome"], ended.fields["reason"]) == ("stopped", "empty_room")
    assert not host.events("job not connected")


@pytest.mark.slow(65)
@pytest.mark.timeout(180)
async def test_another_program_that_joins_for_it_is_found(
    tmp_path: Path,
    run_host: RunHost,
    livekit_server: RealLiveKitServer,
    participant: Join,
    livekit_api: api.LiveKitAPI,
) -> None:
    """Its process says nothing of it; the server does, which is asked every 30 s, also for who else is there."""
    (tmp_path / "program.py").write_text(PROGRAM)
    file = write_agent(tmp_path, ELSEWHERE, YAML + "    log_level: DEBUG\n")
    host = await run_host(file, server=livekit_server, cwd=tmp_path)
    await host.wait_event("registered")
    await participant("elsewhere")
    request = api.CreateAgentDispatchRequest(agent_name="own", room="elsewhere")
    await livekit_api.agent_dispatch.create_dispatch(request)
    connected = await host.wait_event("job connected", timeout=60)
    assert connected.fields["by"] == "another program"
    await host.wait_event("rooms checked", timeout=60, count=2)
    assert not host.events("job stopping")
    await livekit_api.room.delete_room(api.DeleteRoomRequest(room="elsewhere"))
    ended = await host.wait_event("job ended", timeout=60)
    assert (ended.fields["outcome"], ended.fields["reason"]) == ("succeeded", "entrypoint returned")
