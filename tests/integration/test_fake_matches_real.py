"""The same scenarios against the fake server and the real one: what holds here is what the fake may be used for."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import jwt
import pytest
from livekit import api
from livekit.protocol import agent, models

from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.support.polling import poll
from tests.support.protocols import Server
from tests.support.worker import Answer, Worker, accept, ignore, reject

QUIET_SECONDS = 0.5  # how long "nothing comes" is watched for


class Side:
    """One of the two servers, with a client of its API and workers of unique names."""

    def __init__(self, server: Server, client: api.LiveKitAPI, *, settle_seconds: float) -> None:
        self.url, self.key, self.secret = server.url, server.api_key, server.api_secret
        self.settle_seconds = settle_seconds
        self.api = client
        self.unique = uuid.uuid4().hex[:8]

    @asynccontextmanager
    async def worker(self, answer: Answer, prefix: str = "", **options: Any) -> AsyncIterator[Worker]:
        """A registered worker of this side's own agent name."""
        name = f"{prefix}{self.unique}"
        async with Worker(self.url, self.key, self.secret, agent_name=name, answer=answer, **options) as worker:
            # The real server hears of a new name a moment after it answered the registration, and no event tells.
            await asyncio.sleep(self.settle_seconds)
            yield worker

    async def dispatch(
        self, room: str = "room", *, metadata: str = "", attributes: dict[str, str] | None = None
    ) -> str:
        """Dispatch the workers' agent into a room; the dispatch's id."""
        made = await self.api.agent_dispatch.create_dispatch(
            api.CreateAgentDispatchRequest(
                agent_name=self.unique, room=self.room(room), metadata=metadata, attributes=attributes
            )
        )
        return made.id

    def room(self, name: str = "room") -> str:
        return f"{name}-{self.unique}"


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.e2e)])
async def side(request: pytest.FixtureRequest) -> AsyncIterator[Side]:
    if request.param == "real":
        server = request.getfixturevalue("livekit_server")
        async with api.LiveKitAPI(server.url, server.api_key, server.api_secret) as client:
            yield Side(server, client, settle_seconds=0.2)
        return
    async with (
        FakeLiveKitServer() as fake,
        api.LiveKitAPI(fake.url, fake.api_key, fake.api_secret) as client,
    ):
        yield Side(fake, client, settle_seconds=0)


async def never(condition: Callable[[], object]) -> bool:
    """Whether `condition` stays false for a while."""
    return not await poll(condition, timeout=QUIET_SECONDS)


async def test_accepted_job_is_assigned_with_a_token_of_the_answer(side: Side) -> None:
    """The server's token carries identity, name and attributes of the answer, and the agent's name as an attribute."""
    async with side.worker(accept(name="Support", attributes={"tier": "gold"})) as worker:
        await side.dispatch(metadata="hello", attributes={"a": "b"})
        await worker.wait(lambda: worker.assignments, "an assignment")
        assignment = worker.assignments[0]
        claims = jwt.decode(assignment.token, side.secret, algorithms=["HS256"])
        assert (claims["sub"], claims["name"], claims["kind"]) == (f"agent-{assignment.job.id}", "Support", "agent")
        assert claims["attributes"] == {"tier": "gold", "lk.agent_name": side.unique}
        assert 3500 < claims["exp"] - claims["nbf"] <= 3600
        job = worker.offers[0]
        assert (job.metadata, dict(job.attributes), job.room.name) == ("hello", {"a": "b"}, side.room())
        assert (job.agent_name, job.type) == (side.unique, agent.JobType.JT_ROOM)
        assert (job.id[:3], job.dispatch_id[:3], job.room.sid[:3]) == ("AJ_", "AD_", "RM_")
        assert job.state.worker_id == worker.worker_id


async def test_token_permissions_by_default_are_all_but_hidden(side: Side) -> None:
    """A worker that registers no permissions gets everything but hidden."""
    async with side.worker(accept()) as worker:
        await side.dispatch()
        await worker.wait(lambda: worker.assignments, "an assignment")
        video = jwt.decode(worker.assignments[0].token, options={"verify_signature": False})["video"]
        assert {key: video.get(key, False) for key in ("roomJoin", "agent", "canPublish", "canSubscribe")} == {
            "roomJoin": True,
            "agent": True,
            "canPublish": True,
            "canSubscribe": True,
        }
        assert (video["canPublishData"], video["canUpdateOwnMetadata"], video.get("hidden", False)) == (
            True,
            True,
            False,
        )


async def test_registered_permissions_hold_and_sources_are_ignored(side: Side) -> None:
    """What is not set in registered permissions is false; can_publish_sources never reaches the token."""
    permissions = models.ParticipantPermission(
        can_publish=True, hidden=True, can_publish_sources=[models.TrackSource.MICROPHONE]
    )
    async with side.worker(accept(), permissions=permissions) as worker:
        await side.dispatch()
        await worker.wait(lambda: worker.assignments, "an assignment")
        video = jwt.decode(worker.assignments[0].token, options={"verify_signature": False})["video"]
        assert (video["canPublish"], video["canSubscribe"], video["canPublishData"]) == (True, False, False)
        assert (video["hidden"], video.get("canPublishSources")) == (True, None)


async def test_rejected_offer_goes_to_the_other_worker_of_the_name(side: Side) -> None:
    """available=false: the next worker of the same key on this node is asked."""
    async with side.worker(reject()) as unwilling, side.worker(accept()) as willing:
        await willing.report(load=0.69)
        rooms = 0
        while not unwilling.offers and rooms < 40:  # the choice is random, weighted by free load
            rooms += 1
            await side.dispatch(f"room{rooms}")
            await willing.wait(lambda: len(willing.assignments) == rooms, "an assignment")  # noqa: B023
        assert unwilling.offers
        assert {job.id for job in unwilling.offers} <= {a.job.id for a in willing.assignments}


async def test_terminating_answer_ends_the_job_for_everybody(side: Side) -> None:
    """terminate=true: nobody else is asked, and the dispatch's job is listed as a success."""
    async with side.worker(reject(terminate=True)) as first, side.worker(reject(terminate=True)) as second:
        await side.dispatch()
        await poll(lambda: first.offers + second.offers, timeout=8, what="no offer came")
        assert await never(lambda: len(first.offers) + len(second.offers) > 1)


async def test_answer_after_the_budget_is_never_assigned(side: Side) -> None:
    """3 s from the dispatch is all: 2.5 s is in time, 3.5 s is not, and the dispatch is lost."""
    async with side.worker(accept(after=3.5)) as late, side.worker(accept(after=2.5), "x") as timely:
        room = side.room("timely")
        await side.dispatch()
        await side.api.agent_dispatch.create_dispatch(
            api.CreateAgentDispatchRequest(agent_name=f"x{side.unique}", room=room)
        )
        await timely.wait(lambda: timely.assignments, "the timely assignment")
        await late.wait(lambda: late.offers, "the late offer")
        await asyncio.sleep(1.2)  # until the late answer has certainly been given
        assert late.assignments == []


async def test_unanswered_offer_is_not_given_to_anybody_else(side: Side) -> None:
    """A worker that never answers uses up the whole budget."""
    async with side.worker(ignore()) as silent:
        await side.dispatch()
        await silent.wait(lambda: silent.offers, "an offer")
        async with side.worker(accept()) as other:
            await asyncio.sleep(3.2)
            assert (len(silent.offers), other.offers) == (1, [])


@pytest.mark.parametrize(("load", "offered"), [(0.69, True), (0.7, False), (0.95, False)])
async def test_load_of_70_percent_means_no_offer(side: Side, load: float, offered: bool) -> None:
    """A worker that is available with load ≥ 0.7 gets no offer at all."""
    async with side.worker(accept()) as worker:
        await worker.report(load=load)
        await side.dispatch()
        if offered:
            await worker.wait(lambda: worker.assignments, "an assignment")
        else:
            assert await never(lambda: worker.offers)


async def test_full_worker_gets_no_offer(side: Side) -> None:
    """WS_FULL: no offer, whatever the load."""
    async with side.worker(accept()) as worker:
        await worker.report(load=0.0, available=False)
        await side.dispatch()
        assert await never(lambda: worker.offers)


async def test_dispatch_without_a_worker_is_never_offered_again(side: Side) -> None:
    """Only deleting and creating it anew brings it back; deleting twice is 404, so that deleting is a lock."""
    dispatch_id = await side.dispatch()
    async with side.worker(accept()) as worker:
        assert await never(lambda: worker.offers)
        await side.api.agent_dispatch.delete_dispatch(dispatch_id, side.room())
        with pytest.raises(api.TwirpError) as refused:
            await side.api.agent_dispatch.delete_dispatch(dispatch_id, side.room())
        assert (refused.value.code, refused.value.status) == ("not_found", 404)
        await side.dispatch()
        await worker.wait(lambda: worker.assignments, "an assignment")


async def test_deleted_dispatch_terminates_its_job(side: Side) -> None:
    """DeleteDispatch sends a termination, and a status that comes later is ignored without harm."""
    async with side.worker(accept()) as worker:
        dispatch_id = await side.dispatch()
        await worker.wait(lambda: worker.assignments, "an assignment")
        job_id = worker.assignments[0].job.id
        await side.api.agent_dispatch.delete_dispatch(dispatch_id, side.room())
        await worker.wait(lambda: worker.terminations == [job_id], "the termination")
        await worker.report_job(job_id, agent.JobStatus.JS_SUCCESS)


async def test_deleted_room_terminates_no_job_that_never_joined(side: Side) -> None:
    """A job whose agent is not in the room hears nothing of the room's end."""
    async with side.worker(accept()) as worker:
        await side.dispatch()
        await worker.wait(lambda: worker.assignments, "an assignment")
        await side.api.room.delete_room(api.DeleteRoomRequest(room=side.room()))
        assert await never(lambda: worker.terminations)


async def test_ended_job_is_terminated_no_more(side: Side) -> None:
    """After JS_SUCCESS or JS_FAILED the server has forgotten the job."""
    async with side.worker(accept()) as worker:
        dispatch_id = await side.dispatch()
        await worker.wait(lambda: worker.assignments, "an assignment")
        await worker.report_job(worker.assignments[0].job.id, agent.JobStatus.JS_FAILED, "boom")
        with suppress(api.TwirpError):
            await side.api.agent_dispatch.delete_dispatch(dispatch_id, side.room())
        assert await never(lambda: worker.terminations)


async def test_reconnected_worker_hears_nothing_of_its_old_jobs(side: Side) -> None:
    """The server forgets a worker's jobs when its socket drops."""
    async with side.worker(accept()) as worker:
        dispatch_id = await side.dispatch()
        await worker.wait(lambda: worker.assignments, "an assignment")
    async with side.worker(accept()) as again:
        with suppress(api.TwirpError):
            await side.api.agent_dispatch.delete_dispatch(dispatch_id, side.room())
        assert await never(lambda: again.terminations)


async def test_automatic_dispatch_of_a_new_room_reaches_the_nameless_worker(side: Side) -> None:
    """A room without listed agents has one dispatch with the empty name."""
    worker = Worker(side.url, side.key, side.secret, agent_name="", answer=accept())
    async with worker:
        await side.api.room.create_room(api.CreateRoomRequest(name=side.room()))
        await worker.wait(lambda: any(j.room.name == side.room() for j in worker.offers), "the automatic offer")
        listed = await side.api.agent_dispatch.list_dispatch(side.room())
        assert [d.agent_name for d in listed] == [""]


async def test_room_with_listed_agents_has_no_automatic_dispatch(side: Side) -> None:
    """Agents of the room's configuration replace the automatic one."""
    async with side.worker(accept()) as worker:
        await side.api.room.create_room(
            api.CreateRoomRequest(name=side.room(), agents=[api.RoomAgentDispatch(agent_name=side.unique)])
        )
        await worker.wait(lambda: worker.assignments, "an assignment")
        listed = await side.api.agent_dispatch.list_dispatch(side.room())
        assert [d.agent_name for d in listed] == [side.unique]


async def test_deployment_is_part_of_the_worker_key(side: Side) -> None:
    """A dispatch without deployment does not reach the worker of one."""
    async with side.worker(accept(), deployment="blue") as blue:
        await side.dispatch()
        assert await never(lambda: blue.offers)
        await side.api.agent_dispatch.create_dispatch(
            api.CreateAgentDispatchRequest(agent_name=side.unique, room=side.room("b"), deployment="blue")
        )
        await blue.wait(lambda: blue.assignments, "an assignment")
        assert blue.assignments[0].job.deployment == "blue"


async def test_simulated_job_comes_to_the_worker_that_asked(side: Side) -> None:
    """simulate_job makes the server offer this very worker a job in the given room."""
    async with side.worker(accept()) as worker:
        room = models.Room(name=side.room(), sid="RM_simulated")
        await worker.send(agent.WorkerMessage(simulate_job=agent.SimulateJobRequest(room=room)))
        await worker.wait(lambda: worker.assignments, "an assignment")
        job = worker.assignments[0].job
        assert (job.room.name, job.type, job.dispatch_id) == (side.room(), agent.JobType.JT_ROOM, "")


async def test_ping_is_answered_with_its_own_timestamp(side: Side) -> None:
    """pong carries the ping's timestamp back."""
    async with side.worker(accept()) as worker:
        assert (await worker.ping()).last_timestamp == 4711


async def test_bytes_that_are_no_message_end_the_connection(side: Side) -> None:
    """The server closes the websocket."""
    async with side.worker(accept()) as worker:
        await worker.send_raw(b"\xff\xff\xff\xff garbage")
        await worker.wait_closed()


@pytest.mark.parametrize("grants", [None, api.VideoGrants(room_join=True, room="r")])
async def test_wrong_secret_or_missing_grant_is_401(side: Side, grants: api.VideoGrants | None) -> None:
    """The handshake is refused before any websocket exists."""
    secret = side.secret if grants else "a wrong secret that is long enough for HS256"
    token = api.AccessToken(side.key, secret).with_identity("w").with_grants(grants or api.VideoGrants(agent=True))
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"{side.url}/agent", headers={"Authorization": f"Bearer {token.to_jwt()}"})
    assert refused.value.status == 401


async def test_participants_of_an_empty_and_of_a_missing_room(side: Side) -> None:
    """Rooms are listed with their sid; a room that is not there has nobody to remove."""
    made = await side.api.room.create_room(api.CreateRoomRequest(name=side.room(), metadata="m"))
    listed = await side.api.room.list_rooms(api.ListRoomsRequest(names=[side.room()]))
    assert [(r.sid, r.name, r.metadata) for r in listed.rooms] == [(made.sid, side.room(), "m")]
    people = await side.api.room.list_participants(api.ListParticipantsRequest(room=side.room()))
    assert list(people.participants) == []
    for room in (side.room(), side.room("missing")):
        with pytest.raises(api.TwirpError) as refused:
            await side.api.room.remove_participant(api.RoomParticipantIdentity(room=room, identity="nobody"))
        assert (refused.value.code, refused.value.status) == ("not_found", 404)


async def test_calls_about_a_missing_room(side: Side) -> None:
    """Deleting a missing room and listing its dispatches are 404; its participants are an empty list."""
    missing = side.room("missing")
    people = await side.api.room.list_participants(api.ListParticipantsRequest(room=missing))
    assert list(people.participants) == []
    with pytest.raises(api.TwirpError) as refused:
        await side.api.room.delete_room(api.DeleteRoomRequest(room=missing))
    assert (refused.value.code, refused.value.status) == ("not_found", 404)


async def test_server_api_refuses_a_wrong_secret(side: Side) -> None:
    """401, unauthenticated."""
    async with api.LiveKitAPI(side.url, side.key, "a wrong secret that is long enough for HS256") as wrong:
        with pytest.raises(api.TwirpError) as refused:
            await wrong.room.list_rooms(api.ListRoomsRequest())
    assert refused.value.status == 401
