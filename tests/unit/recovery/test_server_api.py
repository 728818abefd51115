"""The calls that bring jobs back, against the fake server, which answers as the real one does."""

import asyncio

import pytest
from livekit.protocol import models

from agenthost.errors import CallRefused, ConnectionLost
from agenthost.recovery.server_api import CALLS_AT_ONCE, ServerApi
from agenthost.recovery.values import DispatchInfo, Member
from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.unit.recovery.conftest import Connect

WANTED = DispatchInfo(
    id="", room="lobby", agent_name="support", deployment="blue", metadata="hello", attributes={"tier": "gold"}
)


@pytest.fixture
async def api(fake_server: FakeLiveKitServer, connect: Connect) -> ServerApi:
    """A client, and a room without dispatches."""
    fake_server.rooms.create_quietly("lobby")
    return connect(fake_server)


async def test_rooms_are_listed_all_or_by_name(fake_server: FakeLiveKitServer, api: ServerApi) -> None:
    """With their sids, which tell a room from a later one of its name."""
    sid = fake_server.rooms.room("lobby").info.sid
    fake_server.rooms.create_quietly("other")
    assert {room.name for room in await api.list_rooms()} == {"lobby", "other"}
    assert [(room.name, room.sid) for room in await api.list_rooms(["lobby", "missing"])] == [("lobby", sid)]


async def test_members_are_told_apart(fake_server: FakeLiveKitServer, api: ServerApi) -> None:
    """People, agents of a dispatch with its name, and agents of nobody."""
    kind = models.ParticipantInfo.Kind
    await fake_server.join("lobby", "caller")
    await fake_server.join("lobby", "ours", kind=kind.AGENT, attributes={"lk.agent_name": ""})
    await fake_server.join("lobby", "simulated", kind=kind.AGENT)
    await fake_server.join("lobby", "liar", attributes={"lk.agent_name": "support"})
    assert await api.list_members("lobby") == (
        Member(identity="caller"),
        Member(identity="ours", kind="agent", agent_name=""),
        Member(identity="simulated", kind="agent"),
        Member(identity="liar"),
    )
    assert await api.list_members("missing") == ()


async def test_dispatch_made_anew_keeps_everything_and_counts(api: ServerApi) -> None:
    """Name, deployment, metadata, attributes; the count is one more attribute."""
    made = await api.create_dispatch(WANTED, attempt=2)
    (listed,) = await api.list_dispatches("lobby")
    assert (listed.id, listed.attempt, listed.ended) == (made, 2, False)
    assert (listed.agent_name, listed.deployment, listed.metadata) == ("support", "blue", "hello")
    assert listed.attributes == {"tier": "gold", "agenthost.attempt": "2"}
    assert listed.created_at > 1e9


async def test_only_one_of_two_deletes_is_told_that_it_did(api: ServerApi) -> None:
    """Which makes deleting a lock."""
    made = await api.create_dispatch(WANTED, attempt=1)
    assert await api.delete_dispatch("lobby", made) is True
    assert await api.delete_dispatch("lobby", made) is False


async def test_removing_who_is_not_there_is_no_error(fake_server: FakeLiveKitServer, api: ServerApi) -> None:
    """The server may have removed a ghost by itself."""
    await fake_server.join("lobby", "ghost")
    assert await api.remove_member("lobby", "ghost") is True
    assert await api.remove_member("lobby", "ghost") is False


async def test_wrong_secret_is_refused_without_a_retry(fake_server: FakeLiveKitServer, connect: Connect) -> None:
    """And neither secret nor token is in the message."""
    wrong = "w" * 40
    with pytest.raises(CallRefused) as caught:
        await connect(fake_server, secret=wrong).list_rooms()
    assert caught.value.code == "unauthenticated"
    assert wrong not in str(caught.value)
    assert "ey" not in str(caught.value).replace("key", "")


async def test_server_that_is_away_is_a_lost_connection(fake_server: FakeLiveKitServer, api: ServerApi) -> None:
    """Which the caller may try again."""
    await fake_server.stop()
    with pytest.raises(ConnectionLost, match="RoomService/ListRooms failed"):
        await api.list_rooms()


async def test_so_many_calls_are_made_at_once_and_the_others_wait_for_their_turn(api: ServerApi) -> None:
    """A host whose jobs all end asks for them one after another, and has sockets left; every call is made."""
    calls = [asyncio.create_task(api.list_rooms()) for _ in range(CALLS_AT_ONCE + 5)]
    await asyncio.sleep(0)  # all of them are begun
    assert api.calls == CALLS_AT_ONCE
    await asyncio.gather(*calls)
    assert api.calls == CALLS_AT_ONCE + 5
