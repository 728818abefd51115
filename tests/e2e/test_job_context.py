"""What user code can do with its JobContext, tried in rooms of the real server."""

import asyncio

import pytest
from livekit import api, rtc

from agenthost.ipc.messages import Connected, Ended, Heartbeat
from tests.support.job_process import Fork
from tests.support.protocols import Join

pytestmark = pytest.mark.e2e


async def test_wait_for_participant_connects_and_finds_who_is_there(run_job: Fork, participant: Join) -> None:
    """Without connect() before it, and with the caller in the room already."""
    await participant("present", "anna")
    code = "async def entrypoint(ctx): ctx.shutdown((await ctx.wait_for_participant()).identity)"
    assert (await asyncio.to_thread(run_job("present", code).end)).reason == "anna"


async def test_wait_for_participant_waits_for_the_identity_asked_for(run_job: Fork, participant: Join) -> None:
    """Others who come first are passed over."""
    code = "async def entrypoint(ctx): ctx.shutdown((await ctx.wait_for_participant(identity='ben')).identity)"
    process = run_job("later", code)
    await asyncio.to_thread(process.receive, Connected)
    await participant("later", "anna")
    await participant("later", "ben")
    assert (await asyncio.to_thread(process.end)).reason == "ben"


async def test_wait_for_participant_passes_over_other_kinds(run_job: Fork, participant: Join) -> None:
    """`kind` is one value or several; a standard client is not a SIP participant."""
    code = """
        import asyncio
        from livekit import rtc
        async def entrypoint(ctx):
            phone = asyncio.create_task(ctx.wait_for_participant(kind=rtc.ParticipantKind.PARTICIPANT_KIND_SIP))
            client = await ctx.wait_for_participant(kind=[rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD])
            ctx.shutdown(f"{client.identity} {phone.done()}")
            phone.cancel()
    """
    process = run_job("kinds", code)
    await participant("kinds", "anna")
    assert (await asyncio.to_thread(process.end)).reason == "anna False"


async def test_wait_for_participant_ends_with_the_room(run_job: Fork, livekit_api: api.LiveKitAPI) -> None:
    """Whoever waits is woken with an error that says why; the outcome is the room's end, and nothing has failed."""
    code = "async def entrypoint(ctx): await ctx.wait_for_participant()"
    process = run_job("empty", code)
    await asyncio.to_thread(process.receive, Connected)
    await livekit_api.room.delete_room(api.DeleteRoomRequest(room="empty"))
    assert await asyncio.to_thread(process.end) == Ended(kind="succeeded", reason="room deleted")
    line = process.line("the entrypoint waited for a participant until the job's end")
    assert line.fields["reason"] == "stopped waiting for a participant: the room was left"
    assert not [line for line in process.lines if line.traceback]


async def test_wait_for_participant_ends_when_the_job_is_stopped(run_job: Fork) -> None:
    """A job that waits for somebody needs no grace to end."""
    process = run_job("stopped-waiting", "async def entrypoint(ctx): await ctx.wait_for_participant()")
    await asyncio.to_thread(process.receive, Connected)
    process.stop("drain deadline", grace_seconds=30.0)
    async with asyncio.timeout(5):  # the grace has only begun
        assert await asyncio.to_thread(process.end) == Ended(kind="stopped", reason="drain deadline")


async def test_participant_entrypoint_runs_for_those_present_and_those_to_come(
    run_job: Fork, participant: Join
) -> None:
    """One task for each person and function, whether added before or after connecting."""
    await participant("everyone", "anna")
    code = """
        async def early(ctx, participant): print("early", participant.identity, flush=True)
        async def late(ctx, participant):
            print("late", participant.identity, flush=True)
            if participant.identity == "ben": ctx.shutdown("both")
        async def entrypoint(ctx):
            ctx.add_participant_entrypoint(early)
            await ctx.connect()
            ctx.add_participant_entrypoint(late)
    """
    process = run_job("everyone", code)
    await asyncio.to_thread(process.receive, Connected)
    await participant("everyone", "ben")
    assert (await asyncio.to_thread(process.end)).reason == "both"
    assert sorted(process.output.splitlines()) == ["early anna", "early ben", "late anna", "late ben"]


async def test_participant_entrypoint_that_fails_is_logged_and_harms_nobody(run_job: Fork, participant: Join) -> None:
    """The error has its traceback, function and identity in the log; the job lives on."""
    code = """
        async def greet(ctx, participant): raise ValueError("no voice")
        async def entrypoint(ctx):
            ctx.add_participant_entrypoint(greet)
            await ctx.connect()
    """
    process = run_job("greeting", code)
    await asyncio.to_thread(process.receive, Connected)
    await participant("greeting", "anna")
    while (await asyncio.to_thread(process.receive, Heartbeat)).people == 0:
        pass
    process.stop()
    assert (await asyncio.to_thread(process.end)).kind == "stopped"
    line = process.line("a participant entrypoint failed")
    assert line.fields["identity"] == "anna"
    assert str(line.fields["entrypoint"]).endswith(".greet")
    assert line.traceback.endswith("ValueError: no voice")


async def test_participant_who_returns_early_overlaps_and_is_warned_about(run_job: Fork, participant: Join) -> None:
    """Both tasks run; the log says that the first had not ended."""
    code = """
        import asyncio
        visits, returned = [], asyncio.Event()
        async def serve(ctx, participant):
            visits.append(participant.sid)
            if len(visits) == 2:
                returned.set()
                ctx.shutdown("twice")
            await returned.wait()
        async def entrypoint(ctx):
            ctx.add_participant_entrypoint(serve)
            await ctx.connect()
    """
    process = run_job("returning", code)
    await asyncio.to_thread(process.receive, Connected)
    first = await participant("returning", "anna")
    while (await asyncio.to_thread(process.receive, Heartbeat)).people == 0:
        pass
    await first.disconnect()
    await participant("returning", "anna")
    assert (await asyncio.to_thread(process.end)).reason == "twice"
    assert process.line("a participant came back before its earlier task ended").fields["identity"] == "anna"


async def test_reconnecting_starts_no_task_twice(run_job: Fork, participant: Join) -> None:
    """A full reconnect of the agent announces everyone anew; those who stayed are being served already."""
    await participant("reconnecting", "anna")
    code = """
        import asyncio
        from livekit.rtc._proto.room_pb2 import SIMULATE_FULL_RECONNECT
        async def serve(ctx, participant):
            print("serving", participant.identity, flush=True)
            await asyncio.Event().wait()
        async def entrypoint(ctx):
            ctx.add_participant_entrypoint(serve)
            reconnected, active = asyncio.Event(), asyncio.Event()
            await ctx.connect()
            ctx.room.on("reconnected", reconnected.set)
            ctx.room.on("participant_active", lambda _: active.set())
            await ctx.room.simulate_scenario(SIMULATE_FULL_RECONNECT)
            await reconnected.wait()
            await active.wait()
            ctx.shutdown("reconnected")
            ctx.delete_room()
    """
    process = run_job("reconnecting", code)
    process.receive(Connected)
    assert (await asyncio.to_thread(process.end)).reason == "reconnected"
    assert process.output == "serving anna\n"


async def test_participant_tasks_end_before_session_end(run_job: Fork, participant: Join) -> None:
    """They hold up no end, and none of them still works while the session is being saved."""
    await participant("session", "anna")
    code = """
        import asyncio
        async def serve(ctx, participant):
            ctx.shutdown("done")
            try:
                await asyncio.Event().wait()
            finally:
                print("served", flush=True)
        def session_end(ctx): print("saved", flush=True)
        async def entrypoint(ctx):
            ctx.add_participant_entrypoint(serve)
            await ctx.connect()
    """
    process = run_job("session", code, session_end="agent:session_end")
    async with asyncio.timeout(5):
        assert (await asyncio.to_thread(process.end)).reason == "done"
    assert process.output.splitlines() == ["served", "saved"]


async def test_api_works_on_the_minted_token_alone(run_job: Fork, participant: Join) -> None:
    """ctx.api administers the room without any secret in the environment."""
    await participant("admin", "anna")
    code = """
        import os
        from livekit import api
        async def entrypoint(ctx):
            assert not any(name.startswith("LIVEKIT_API") for name in os.environ)
            await ctx.connect()
            found = await ctx.api.room.list_participants(api.ListParticipantsRequest(room=ctx.room.name))
            assert ctx.api is ctx.api
            ctx.shutdown(" ".join(sorted(one.identity for one in found.participants)))
    """
    assert (await asyncio.to_thread(run_job("admin", code).end)).reason == "agent anna"


async def test_delete_room_ends_the_job_and_a_second_one_is_as_good(run_job: Fork, participant: Join) -> None:
    """delete_room needs no await; a room that is gone already is no error."""
    caller = await participant("hung-up", "anna")
    gone = asyncio.Event()
    caller.on("disconnected", lambda _reason: gone.set())
    code = """
        async def entrypoint(ctx):
            await ctx.connect()
            ctx.delete_room()
            await ctx.delete_room("there-is-no-such-room")
    """
    process = run_job("hung-up", code)
    assert await asyncio.to_thread(process.end) == Ended(kind="succeeded", reason="room deleted")
    await asyncio.wait_for(gone.wait(), 5)


async def test_delete_room_that_nobody_awaits_is_carried_out_before_the_job_ends(
    run_job: Fork, livekit_api: api.LiveKitAPI
) -> None:
    """A request begun just before shutdown is not cut off."""
    await livekit_api.room.create_room(api.CreateRoomRequest(name="unawaited"))
    code = "async def entrypoint(ctx):\n    ctx.delete_room('unawaited')\n    ctx.shutdown('bye')"
    assert (await asyncio.to_thread(run_job("another", code).end)).reason == "bye"
    assert not (await livekit_api.room.list_rooms(api.ListRoomsRequest(names=["unawaited"]))).rooms


async def test_sip_calls_report_what_the_server_says(run_job: Fork) -> None:
    """A server without SIP refuses; the caller of the method gets that error."""
    code = """
        from livekit import api
        async def entrypoint(ctx):
            await ctx.connect()
            for request in (
                ctx.add_sip_participant(call_to="+491", trunk_id="ST_1", participant_identity="phone"),
                ctx.transfer_sip_participant("phone", "+492"),
            ):
                try:
                    await request
                except api.ServerError as error:
                    print(type(error).__name__, flush=True)
            ctx.shutdown()
    """
    process = run_job("phones", code)
    assert (await asyncio.to_thread(process.end)).reason == "user requested"
    assert len(process.output.splitlines()) == 2


async def test_transfer_of_someone_who_does_not_phone_is_refused(run_job: Fork, participant: Join) -> None:
    """Only SIP participants can be transferred."""
    code = """
        async def entrypoint(ctx):
            ctx.transfer_sip_participant(await ctx.wait_for_participant(), "+492")
    """
    process = run_job("transfer", code)
    await participant("transfer", "anna")
    assert "only a SIP participant can be transferred" in (await asyncio.to_thread(process.end)).error


async def test_audio_only_subscribes_to_audio_alone(run_job: Fork, participant: Join) -> None:
    """Tracks published before and after joining, of both kinds: only the audio arrives."""
    caller = await participant("tracks", "anna")
    await _publish(caller, "before")
    code = """
        from agenthost import AutoSubscribe
        async def entrypoint(ctx):
            def on_subscribed(track, publication, participant):
                print(publication.name, flush=True)
                if publication.name.endswith("audio"): arrived.append(publication)
                if len(arrived) == 2: ctx.shutdown()
            arrived = []
            ctx.room.on("track_subscribed", on_subscribed)
            await ctx.connect(auto_subscribe=AutoSubscribe.AUDIO_ONLY)
    """
    process = run_job("tracks", code)
    await asyncio.to_thread(process.receive, Connected)
    await _publish(caller, "after")
    await asyncio.to_thread(process.end)
    assert sorted(process.output.split()) == ["after-audio", "before-audio"]


async def test_second_connect_returns_at_once(run_job: Fork) -> None:
    """connect() is idempotent, also when two tasks call it at the same time."""
    code = """
        import asyncio
        async def entrypoint(ctx):
            await asyncio.gather(ctx.connect(), ctx.connect())
            sid = ctx.agent.sid
            await ctx.connect()
            ctx.shutdown(str(sid == ctx.agent.sid))
    """
    process = run_job("twice", code)
    assert (await asyncio.to_thread(process.end)).reason == "True"


async def test_context_is_found_from_handlers_and_tasks(run_job: Fork, participant: Join) -> None:
    """get_job_context() works in everything the job started, room events included."""
    code = """
        import asyncio
        from agenthost import get_job_context
        async def entrypoint(ctx):
            ctx.room.on("participant_connected", lambda participant: get_job_context().shutdown(participant.identity))
            assert await asyncio.to_thread(get_job_context) is ctx
            await ctx.connect()
    """
    process = run_job("events", code)
    await asyncio.to_thread(process.receive, Connected)
    await participant("events", "anna")
    assert (await asyncio.to_thread(process.end)).reason == "anna"


async def _publish(room: rtc.Room, name: str) -> None:
    """Video first: a subscriber that gets the audio has had the chance to get the video."""
    video = rtc.LocalVideoTrack.create_video_track(f"{name}-video", rtc.VideoSource(64, 64))
    audio = rtc.LocalAudioTrack.create_audio_track(f"{name}-audio", rtc.AudioSource(48000, 1))
    for track in (video, audio):
        await room.local_participant.publish_track(track)
