"""A job process in a room of the real server: joining, living on, and every way the room can end it."""

import asyncio
from pathlib import Path

import pytest
from livekit import api

from agenthost.ipc.messages import Connected, Ended, Heartbeat
from tests.support.job_process import Fork
from tests.support.protocols import Join
from tests.support.real_server import RealLiveKitServer

pytestmark = pytest.mark.e2e

CONNECTS = "async def entrypoint(ctx): await ctx.connect()"


async def test_job_that_returned_while_connected_lives_until_its_room_is_deleted(
    run_job: Fork, participant: Join, livekit_api: api.LiveKitAPI
) -> None:
    """Returning from the entrypoint does not end a connected job; deleting the room does, as a success."""
    await participant("deleted")
    process = run_job("deleted", CONNECTS)
    connected = await asyncio.to_thread(process.receive, Connected)
    assert connected.room_sid.startswith("RM_")
    assert connected.participant_sid.startswith("PA_")
    heartbeat = await asyncio.to_thread(process.receive, Heartbeat)
    assert (heartbeat.people, heartbeat.connected) == (1, True)
    await livekit_api.room.delete_room(api.DeleteRoomRequest(room="deleted"))
    ended = await asyncio.to_thread(process.end)
    assert ended == Ended(kind="succeeded", reason="room deleted")
    assert process.exit_code == 0


async def test_agent_that_is_removed_succeeds(run_job: Fork, livekit_api: api.LiveKitAPI) -> None:
    """RemoveParticipant on the agent ends its job."""
    process = run_job("removed", CONNECTS)
    await asyncio.to_thread(process.receive, Connected)
    await livekit_api.room.remove_participant(api.RoomParticipantIdentity(room="removed", identity="agent"))
    ended = await asyncio.to_thread(process.end)
    assert ended == Ended(kind="succeeded", reason="agent removed")


async def test_agent_whose_identity_is_taken_over_succeeds(run_job: Fork, participant: Join) -> None:
    """Restarting it would only take the identity back, in turn."""
    process = run_job("twins", CONNECTS)
    await asyncio.to_thread(process.receive, Connected)
    await participant("twins", "agent")
    ended = await asyncio.to_thread(process.end)
    assert ended == Ended(kind="succeeded", reason="replaced by a participant of the same identity")


async def test_job_that_leaves_its_room_succeeds(run_job: Fork) -> None:
    """ctx.room.disconnect() ends the job."""
    process = run_job("left", CONNECTS + "; await ctx.room.disconnect()")
    assert await asyncio.to_thread(process.end) == Ended(kind="succeeded", reason="room left")


async def test_leaving_is_told_every_time(run_job: Fork, livekit_server: RealLiveKitServer) -> None:
    """livekit.rtc forgets the event now and then when it has nothing else to do; a job would wait for it for ever."""
    token = api.AccessToken(livekit_server.api_key, livekit_server.api_secret).with_identity("someone else")
    token.with_grants(api.VideoGrants(room_join=True, room="comings and goings"))
    code = """
from agenthost.context.job_room import JobRoom

async def entrypoint(ctx):
    for _ in range(20):
        told = []
        room = JobRoom(ctx.job.room.name)
        room.on("disconnected", told.append)
        await room.connect(ctx.url, ctx.settings["token"])
        await room.disconnect()
        assert len(told) == 1, told
"""
    process = run_job("comings and goings", code, start={"settings": {"token": token.to_jwt()}})
    assert await asyncio.to_thread(process.end) == Ended(kind="succeeded", reason="entrypoint returned")


async def test_shutdown_in_a_room_leaves_it(run_job: Fork, participant: Join, livekit_api: api.LiveKitAPI) -> None:
    """ctx.shutdown(reason) is a success with that reason, and no ghost of the agent stays in the room."""
    await participant("shutdown")
    process = run_job("shutdown", CONNECTS + "; ctx.shutdown('all done')")
    assert await asyncio.to_thread(process.end) == Ended(kind="succeeded", reason="all done")
    present = await livekit_api.room.list_participants(api.ListParticipantsRequest(room="shutdown"))
    assert [one.identity for one in present.participants] == ["caller"]


async def test_stopped_job_leaves_its_room(run_job: Fork, participant: Join) -> None:
    """The host's StopJob ends a job that lives on in its room."""
    process = run_job("stopped", CONNECTS)
    await asyncio.to_thread(process.receive, Connected)
    process.stop("drain deadline", budget_seconds=5.0)
    assert await asyncio.to_thread(process.end) == Ended(kind="stopped", reason="drain deadline")


async def test_framework_that_connects_the_room_itself_is_noticed(run_job: Fork) -> None:
    """ctx.room.connect counts as connecting, whoever calls it: the job lives on, and the host hears of it."""
    code = """
        async def entrypoint(ctx):
            await ctx.room.connect(ctx.url, ctx.token)
    """
    process = run_job("direct", code)
    await asyncio.to_thread(process.receive, Connected)
    process.stop()
    assert (await asyncio.to_thread(process.end)).kind == "stopped"


async def test_connecting_in_a_task_of_its_own_keeps_the_job(run_job: Fork) -> None:
    """An entrypoint that returns while connecting has not "returned without ever connecting"."""
    code = """
        import asyncio
        async def entrypoint(ctx):
            ctx.proc.userdata["task"] = asyncio.create_task(ctx.connect())
            await asyncio.sleep(0)
    """
    process = run_job("background", code)
    await asyncio.to_thread(process.receive, Connected)
    process.stop()
    assert (await asyncio.to_thread(process.end)).kind == "stopped"


async def test_refused_token_fails_the_job_without_showing_the_token(run_job: Fork) -> None:
    """The server's refusal is the error of the job; the token is in no message, no log line and no output."""
    process = run_job("refused", CONNECTS, start={"token": "not.a.token"})
    ended = await asyncio.to_thread(process.end)
    assert (ended.kind, ended.reason) == ("failed", "entrypoint failed")
    assert ended.error.startswith("ConnectError: ")
    everything = f"{ended} {process.lines} {process.output}"
    assert "not.a.token" not in everything


async def test_server_that_is_not_there_fails_the_job(run_job: Fork) -> None:
    """A connection that cannot be made is the error of the entrypoint."""
    process = run_job("nowhere", CONNECTS, start={"url": "ws://127.0.0.1:9"})
    ended = await asyncio.to_thread(process.end)
    assert ended.kind == "failed"
    assert ended.error.startswith("ConnectError: ")


async def test_room_that_closes_behind_the_last_person_ends_the_job(
    run_job: Fork, participant: Join, livekit_api: api.LiveKitAPI
) -> None:
    """The server closes a room that only agents are left in; that is how most jobs end."""
    await livekit_api.room.create_room(api.CreateRoomRequest(name="closed", departure_timeout=1))
    caller = await participant("closed")
    process = run_job("closed", CONNECTS)
    await asyncio.to_thread(process.receive, Connected)
    await caller.disconnect()
    assert await asyncio.to_thread(process.end) == Ended(kind="succeeded", reason="room closed")


@pytest.mark.slow(22)
@pytest.mark.timeout(120)
async def test_connection_that_is_lost_for_good_fails_the_job(
    run_job: Fork, livekit_binary: Path, tmp_path: Path
) -> None:
    """When livekit.rtc has given up reconnecting (after 20 to 30 s) the job has lost its room."""
    with RealLiveKitServer(livekit_binary, tmp_path) as server:
        process = run_job("lost", CONNECTS, server=server)
        await asyncio.to_thread(process.receive, Connected)
    ended = await asyncio.to_thread(process.end)
    assert (ended.kind, ended.reason) == ("failed", "room lost")
    assert ended.error == "room lost: the connection to the LiveKit server could not be kept or restored"
