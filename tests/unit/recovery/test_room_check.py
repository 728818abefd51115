"""Jobs whose room is gone without a word, found in the list of rooms."""

import logging
from collections.abc import Callable, Sequence

import pytest
from livekit.protocol import agent_dispatch, models

from agenthost.internal_errors import InternalErrors
from agenthost.jobs import RoomInfo
from agenthost.logs.events import get_logger
from agenthost.metrics import Metrics
from agenthost.recovery.room_check import DoubtfulJob, RoomCheck, is_gone
from agenthost.recovery.server_api import ServerApi
from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.unit.recovery.conftest import Connect

HERE = RoomInfo(name="lobby", sid="RM_1")
ANEW = RoomInfo(name="lobby", sid="RM_2")


@pytest.fixture
async def server(fake_server: FakeLiveKitServer, connect: Connect) -> ServerApi:
    return connect(fake_server)


def make_check(
    jobs: Sequence[DoubtfulJob],
    *,
    close: Callable[[str], None] = lambda job_id: None,
    terminate: Callable[[str], None] = lambda job_id: None,
    found: Callable[[str, int], None] = lambda job_id, people: None,
) -> RoomCheck:
    log = get_logger("recovery")
    errors = InternalErrors(Metrics(), log)
    return RoomCheck(doubtful=lambda: jobs, close=close, terminate=terminate, found=found, errors=errors, log=log)


@pytest.mark.parametrize(
    ("joined", "rooms", "gone"),
    [
        (False, [HERE], False),
        (False, [], True),
        (False, [ANEW], True),
        (True, [HERE], False),
        (True, [ANEW], False),
        (True, [], True),
    ],
)
async def test_room_made_anew_ends_only_who_has_not_joined(
    server: ServerApi, joined: bool, rooms: Sequence[RoomInfo], gone: bool
) -> None:
    """A joined job keeps its connection over a restart of the server, which gives the room another sid."""
    job = DoubtfulJob(job_id="AJ_1", room="lobby", sid="RM_1", joined=joined, server=server)
    assert is_gone(job, rooms) is gone


async def test_joined_job_needs_two_looks_and_an_unjoined_one(
    fake_server: FakeLiveKitServer, server: ServerApi
) -> None:
    """A server that has just started knows no room until the first client is back."""
    closed: list[str] = []
    jobs = [
        DoubtfulJob(job_id=f"AJ_{joined}", room="lobby", sid="RM_1", joined=joined, server=server)
        for joined in (True, False)
    ]
    check = make_check(jobs, close=closed.append)
    await check.look()
    assert closed == ["AJ_False"]
    del jobs[1]
    fake_server.rooms.create_quietly("lobby")
    await check.look()
    await fake_server.rooms.delete("lobby")
    await check.look()
    assert closed == ["AJ_False"]
    await check.look()
    assert closed == ["AJ_False", "AJ_True"]


async def test_job_that_is_in_its_room_is_not_ended_for_a_list_without_it(
    fake_server: FakeLiveKitServer, server: ServerApi
) -> None:
    """It knows better; nobody is asked for it. Looks count from when it has lost its connection."""
    closed: list[str] = []
    calls = server.calls
    jobs: list[DoubtfulJob] = []
    check = make_check(jobs, close=closed.append)
    for connected in (False, True, True, True, False, False):
        assert closed == []
        jobs[:] = [
            DoubtfulJob(job_id="AJ_1", room="lobby", sid="RM_1", joined=True, connected=connected, server=server)
        ]
        await check.look()
    assert (closed, server.calls - calls) == (["AJ_1"], 3)


@pytest.mark.parametrize("asked", [True, False])
async def test_job_that_was_given_up_ends_with_its_dispatch(
    fake_server: FakeLiveKitServer, server: ServerApi, asked: bool
) -> None:
    """The server tells an end once: whoever went on after it is looked after. A restarted server knows no dispatch."""
    ended: list[str] = []
    room = fake_server.rooms.create_quietly("lobby")
    request = agent_dispatch.CreateAgentDispatchRequest(agent_name="a", room="lobby")
    dispatch_id = fake_server.rooms.dispatch(room, request).info.id
    job = DoubtfulJob(
        job_id="AJ_1", room="lobby", sid="RM_1", joined=True, dispatch_id=dispatch_id if asked else "", server=server
    )
    check = make_check([job], terminate=ended.append)
    await check.look()
    assert ended == []
    await fake_server.rooms.delete_dispatch("lobby", dispatch_id)
    await check.look()
    assert ended == (["AJ_1"] if asked else [])


async def test_one_call_asks_for_all_and_none_without_a_doubt(
    fake_server: FakeLiveKitServer, server: ServerApi
) -> None:
    """A thousand jobs cost the server as much as one."""
    jobs = [DoubtfulJob(job_id=f"AJ_{n}", room=f"r{n}", sid="RM", joined=True, server=server) for n in range(1000)]
    check = make_check(jobs)
    await check.look()
    jobs.clear()
    await check.look()
    assert server.calls == 1


async def test_server_that_cannot_be_asked_ends_no_job(
    fake_server: FakeLiveKitServer, server: ServerApi, caplog: pytest.LogCaptureFixture
) -> None:
    """Knowing nothing is not knowing that the room is gone."""
    closed: list[str] = []
    job = DoubtfulJob(job_id="AJ_1", room="lobby", sid="RM_1", joined=False, server=server)
    check = make_check([job], close=closed.append)
    await fake_server.stop()
    with caplog.at_level(logging.DEBUG, "agenthost.recovery"):
        await check.look()
    assert closed == []
    assert caplog.messages == ["rooms not checked"]


async def test_job_that_fails_inside_the_host_keeps_no_other_from_its_end(
    fake_server: FakeLiveKitServer, server: ServerApi
) -> None:
    """Its room is gone, or its dispatch, and so are theirs: all but one are ended at the first look."""
    ended: list[str] = []

    def end(job_id: str) -> None:
        if job_id.endswith("_0"):
            raise RuntimeError("it cannot be ended")
        ended.append(job_id)

    fake_server.rooms.create_quietly("here")
    gone = [DoubtfulJob(job_id=f"AJ_{n}", room="gone", sid="RM", joined=False, server=server) for n in range(2)]
    over = [
        DoubtfulJob(
            job_id=f"AJ_over_{n}", room="here", sid="RM", joined=True, connected=True, dispatch_id="AD", server=server
        )
        for n in range(2)
    ]
    await make_check([*gone, *over], close=end, terminate=end).look()
    assert ended == ["AJ_1", "AJ_over_1"]


async def test_job_that_another_program_has_joined_for_is_found(
    fake_server: FakeLiveKitServer, server: ServerApi
) -> None:
    """With the people that are there; a job that has joined itself is not looked for."""
    room = fake_server.rooms.create_quietly("lobby")
    jobs = [
        DoubtfulJob(
            job_id=name,
            room="lobby",
            sid=room.info.sid,
            joined=not name,
            identity=name and f"agent-{name}",
            server=server,
        )
        for name in ("here", "not here", "")
    ]
    found: list[tuple[str, int]] = []
    check = make_check(jobs, found=lambda job_id, people: found.append((job_id, people)))
    await check.look()
    assert found == []
    await fake_server.join("lobby", "agent-here", kind=models.ParticipantInfo.Kind.AGENT)
    await fake_server.join("lobby", "ann")
    await check.look()
    assert found == [("here", 1)]
