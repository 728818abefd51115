"""What the real server does with people in rooms, where the host relies on it (livekit-server v1.13.5).

What needs no media is in tests/integration/test_fake_matches_real.py, where the fake server is held against the same.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from livekit import api, rtc
from livekit.protocol import agent, agent_dispatch, models

from tests.support.job_process import Fork
from tests.support.polling import poll
from tests.support.protocols import Join
from tests.support.real_server import RealLiveKitServer
from tests.support.room_link import RoomLink
from tests.support.worker import Answer, Worker, accept, reject

pytestmark = pytest.mark.e2e

LIST_SECONDS = 8.0  # ListDispatch shows a job up to 5 s late
QUIET_SECONDS = 0.7


@pytest.fixture
def name() -> str:
    """A room and agent name of this test alone."""
    return f"p-{uuid.uuid4().hex[:8]}"


@asynccontextmanager
async def registered(
    server: RealLiveKitServer, agent_name: str, answer: Answer, **options: Any
) -> AsyncIterator[Worker]:
    """A worker that the server's dispatching half has heard of too, which takes a moment and has no event."""
    worker = Worker(server.url, server.api_key, server.api_secret, agent_name=agent_name, answer=answer, **options)
    async with worker:
        await asyncio.sleep(0.2)
        yield worker


@pytest.fixture
async def enter() -> AsyncIterator[Callable[[str, str], Any]]:
    """Join with a token that is there already; everybody leaves at the end."""
    async with AsyncExitStack() as stack:

        async def connect(url: str, token: str) -> rtc.Room:
            room = rtc.Room()
            stack.push_async_callback(room.disconnect)
            await room.connect(url, token)
            return room

        yield connect


async def dispatch(client: api.LiveKitAPI, agent_name: str, room: str) -> agent_dispatch.AgentDispatch:
    return await client.agent_dispatch.create_dispatch(api.CreateAgentDispatchRequest(agent_name=agent_name, room=room))


async def listed_job(client: api.LiveKitAPI, room: str, agent_name: str) -> agent.Job:
    """The first job of that agent that ListDispatch shows."""
    async with asyncio.timeout(LIST_SECONDS):
        while True:
            for found in await client.agent_dispatch.list_dispatch(room):
                if found.agent_name == agent_name and found.state.jobs:
                    return found.state.jobs[0]
            await asyncio.sleep(0.2)


async def test_second_participant_of_an_identity_puts_out_the_first_and_ends_its_job(
    livekit_server: RealLiveKitServer, livekit_api: api.LiveKitAPI, enter: Callable[[str, str], Any], name: str
) -> None:
    """DUPLICATE_IDENTITY for the first, then a termination: a job cannot be rejoined under its identity."""
    async with registered(livekit_server, name, accept()) as worker:
        await dispatch(livekit_api, name, name)
        await worker.wait(lambda: worker.assignments, "an assignment")
        token = worker.assignments[0].token
        first = await enter(livekit_server.url, token)
        await listed_job(livekit_api, name, name)  # before that the server would send no termination
        reasons: list[int] = []
        first.on("disconnected", reasons.append)
        await enter(livekit_server.url, token)
        await poll(lambda: reasons, timeout=8, what="the first participant was not put out")
        assert reasons == [rtc.DisconnectReason.DUPLICATE_IDENTITY]
        await worker.wait(lambda: worker.terminations == [worker.assignments[0].job.id], "the termination")


async def test_job_of_an_agent_that_leaves_is_terminated(
    livekit_server: RealLiveKitServer, livekit_api: api.LiveKitAPI, enter: Callable[[str, str], Any], name: str
) -> None:
    """Leaving the room ends the job for the server."""
    async with registered(livekit_server, name, accept()) as worker:
        await dispatch(livekit_api, name, name)
        await worker.wait(lambda: worker.assignments, "an assignment")
        room = await enter(livekit_server.url, worker.assignments[0].token)
        await listed_job(livekit_api, name, name)
        await room.disconnect()
        await worker.wait(lambda: worker.terminations, "the termination")


async def test_new_worker_key_gets_no_termination_in_its_first_seconds(
    livekit_server: RealLiveKitServer, livekit_api: api.LiveKitAPI, enter: Callable[[str, str], Any], name: str
) -> None:
    """Until the job is listed (up to 5 s) the server does not connect a leaving agent with its job."""
    async with registered(livekit_server, name, accept()) as worker:
        await dispatch(livekit_api, name, name)
        await worker.wait(lambda: worker.assignments, "an assignment")
        room = await enter(livekit_server.url, worker.assignments[0].token)
        await room.disconnect()
        assert not await poll(lambda: worker.terminations, timeout=QUIET_SECONDS)


async def test_agent_is_known_by_its_kind_and_attribute(
    livekit_server: RealLiveKitServer, livekit_api: api.LiveKitAPI, enter: Callable[[str, str], Any], name: str
) -> None:
    """Only the room's participants tell whether a job lives: kind AGENT and `lk.agent_name`."""
    async with registered(livekit_server, name, accept()) as worker:
        await dispatch(livekit_api, name, name)
        await worker.wait(lambda: worker.assignments, "an assignment")
        await enter(livekit_server.url, worker.assignments[0].token)
        listed = await livekit_api.room.list_participants(api.ListParticipantsRequest(room=name))
        (participant,) = listed.participants
        assert participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        assert participant.attributes["lk.agent_name"] == name


async def test_deleted_room_terminates_the_job_that_joined(
    livekit_server: RealLiveKitServer, livekit_api: api.LiveKitAPI, enter: Callable[[str, str], Any], name: str
) -> None:
    """Unlike one that never joined."""
    async with registered(livekit_server, name, accept()) as worker:
        await dispatch(livekit_api, name, name)
        await worker.wait(lambda: worker.assignments, "an assignment")
        await enter(livekit_server.url, worker.assignments[0].token)
        await listed_job(livekit_api, name, name)
        await livekit_api.room.delete_room(api.DeleteRoomRequest(room=name))
        await worker.wait(lambda: worker.terminations, "the termination")


@pytest.mark.slow(20)
@pytest.mark.timeout(120)
async def test_participant_of_a_dead_process_stays_as_a_ghost_until_it_is_removed(
    run_job: Fork, livekit_api: api.LiveKitAPI, name: str
) -> None:
    """For about 20 s it looks like an agent that serves; RemoveParticipant ends that at once."""

    async def members(room: str) -> list[str]:
        listed = await livekit_api.room.list_participants(api.ListParticipantsRequest(room=room))
        return [one.identity for one in listed.participants if one.state == models.ParticipantInfo.ACTIVE]

    haunted, freed = f"{name}-haunted", f"{name}-freed"
    for room in (haunted, freed):
        process = run_job(room, "async def entrypoint(ctx): await ctx.connect()")
        async with asyncio.timeout(20):
            while not await members(room):  # noqa: ASYNC110 - as below; one that dies before it is active leaves at once
                await asyncio.sleep(0.05)
        await asyncio.to_thread(process.close)
        died = time.monotonic()
        assert await members(room) == ["agent"]
    await livekit_api.room.remove_participant(api.RoomParticipantIdentity(room=freed, identity="agent"))
    assert await members(freed) == []
    assert await members(haunted) == ["agent"]
    async with asyncio.timeout(60):
        while await members(haunted):  # noqa: ASYNC110 - the server tells nobody outside the room
            await asyncio.sleep(0.5)
    assert time.monotonic() - died > 10


async def test_listed_job_stays_running_when_it_failed(
    livekit_server: RealLiveKitServer, livekit_api: api.LiveKitAPI, name: str
) -> None:
    """Once listed as running a job stays so, whatever was reported: ListDispatch does not tell whether it lives."""
    async with registered(livekit_server, name, accept()) as worker:
        await dispatch(livekit_api, name, name)
        await worker.wait(lambda: worker.assignments, "an assignment")
        assert (await listed_job(livekit_api, name, name)).state.status == agent.JobStatus.JS_RUNNING
        await worker.report_job(worker.assignments[0].job.id, agent.JobStatus.JS_FAILED, "boom")
        job = await listed_job(livekit_api, name, name)
        assert (job.state.status, job.state.error) == (agent.JobStatus.JS_RUNNING, "")


async def test_offer_ended_by_terminate_is_listed_as_a_success(
    livekit_server: RealLiveKitServer, livekit_api: api.LiveKitAPI, name: str
) -> None:
    """The only end of a job that ListDispatch shows."""
    async with registered(livekit_server, name, reject(terminate=True)):
        await dispatch(livekit_api, name, name)
        assert (await listed_job(livekit_api, name, name)).state.status == agent.JobStatus.JS_SUCCESS


async def test_empty_name_can_be_dispatched(
    livekit_server: RealLiveKitServer, livekit_api: api.LiveKitAPI, name: str
) -> None:
    """CreateDispatch without a name reaches the nameless worker, beside the room's own automatic dispatch."""
    async with registered(livekit_server, "", accept()) as worker:
        await dispatch(livekit_api, "", name)
        await worker.wait(lambda: len([j for j in worker.offers if j.room.name == name]) == 2, "two offers")


async def test_participant_dispatch_made_anew_offers_everybody_again(
    livekit_server: RealLiveKitServer, livekit_api: api.LiveKitAPI, participant: Join, name: str
) -> None:
    """One dispatch serves all participants, those present and those to come."""
    async with registered(livekit_server, name, accept(), type=agent.JobType.JT_PARTICIPANT) as worker:
        await participant(name, "ann")
        made = await dispatch(livekit_api, name, name)
        await participant(name, "bob")
        await worker.wait(lambda: len(worker.offers) == 2, "an offer for each")
        assert sorted(job.participant.identity for job in worker.offers) == ["ann", "bob"]
        await livekit_api.agent_dispatch.delete_dispatch(made.id, name)
        await dispatch(livekit_api, name, name)
        await worker.wait(lambda: len(worker.offers) == 4, "an offer for each, again")
        assert sorted(job.participant.identity for job in worker.offers[2:]) == ["ann", "bob"]


async def test_joining_a_closed_room_makes_it_anew_with_its_automatic_dispatch(
    livekit_server: RealLiveKitServer, livekit_api: api.LiveKitAPI, participant: Join, name: str
) -> None:
    """Another sid, and another offer: a late agent would bring a closed room back to life."""
    async with registered(livekit_server, "", accept()) as worker:
        await participant(name)
        await worker.wait(lambda: [j for j in worker.offers if j.room.name == name], "the first offer")
        await livekit_api.room.delete_room(api.DeleteRoomRequest(room=name))
        await participant(name, "late")
        await worker.wait(lambda: len([j for j in worker.offers if j.room.name == name]) == 2, "the second offer")
        first, second = (job.room.sid for job in worker.offers if job.room.name == name)
        assert first != second


async def test_publisher_job_comes_with_the_first_track(
    livekit_server: RealLiveKitServer, livekit_api: api.LiveKitAPI, participant: Join, name: str
) -> None:
    """Not with the join."""
    async with registered(livekit_server, name, accept(), type=agent.JobType.JT_PUBLISHER) as worker:
        ann = await participant(name, "ann")
        await dispatch(livekit_api, name, name)
        assert not await poll(lambda: worker.offers, timeout=QUIET_SECONDS)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", rtc.AudioSource(48000, 1))
        await ann.local_participant.publish_track(track)
        await worker.wait(lambda: worker.offers, "the publisher job")
        assert worker.offers[0].participant.identity == "ann"


async def test_restarted_server_forgets_named_dispatches_and_offers_the_automatic_one(
    livekit_binary: Path, tmp_path: Path, enter: Callable[[str, str], Any], name: str
) -> None:
    """The room returns with its client, under a new sid; what was dispatched by name is gone."""
    with RealLiveKitServer(livekit_binary, tmp_path) as server:
        link = RoomLink()
        async with link.to(server.port), api.LiveKitAPI(server.url, server.api_key, server.api_secret) as client:
            token = api.AccessToken(server.api_key, server.api_secret).with_identity("ann")
            token.with_grants(api.VideoGrants(room_join=True, room=name))
            room = await enter(f"ws://127.0.0.1:{link.port}", token.to_jwt())
            async with registered(server, name, accept()) as worker:
                await dispatch(client, name, name)
                await worker.wait(lambda: worker.assignments, "an assignment")
            back = asyncio.Event()
            room.on("reconnected", back.set)
            link.break_rooms()  # a client that is back before the worker has its automatic dispatch offered to nobody
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.start)
            async with registered(server, "", accept()) as nameless:
                link.mend()
                async with asyncio.timeout(30):
                    await back.wait()
                await nameless.wait(lambda: nameless.offers, "the automatic offer")
                listed = await client.agent_dispatch.list_dispatch(name)
                assert [found.agent_name for found in listed] == [""]
