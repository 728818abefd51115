"""Delete, then create: what each host is told, and what happens when the server goes away in between."""

import asyncio
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from livekit.protocol.agent_dispatch import CreateAgentDispatchRequest

from agenthost.dispatch.token import Credentials, call_token
from agenthost.errors import ConnectionLost
from agenthost.recovery.redispatch import Redispatched, Result, redispatch
from agenthost.recovery.server_api import ServerApi
from agenthost.recovery.values import DispatchInfo
from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.testing.values import Faults

AFTER_THE_DELETION = 3  # the third call: the rooms are listed, the dispatch is deleted


class Scene:
    """A room with one dispatch and a caller; `before_call[n]` runs before the n-th call is sent."""

    def __init__(self, server: FakeLiveKitServer, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.before_call: dict[int, Callable[[], None]] = {}
        self.api = ServerApi(session, url=server.url, sign=self._sign)
        self.calls = 0

    async def open(self) -> None:
        room = self.server.rooms.create_quietly("lobby")
        self.sid = room.info.sid
        await self.server.join("lobby", "caller")
        wanted = DispatchInfo(id="", room="lobby", agent_name="support", metadata="m", attributes={"k": "v"})
        await self.api.create_dispatch(wanted, attempt=0)
        (self.dispatch,) = await self.api.list_dispatches("lobby")
        self.calls = 0

    async def again(self, *, sid: str = "", ghost: str = "", retries: tuple[float, ...] = ()) -> Redispatched:
        return await redispatch(
            self.api, self.dispatch, sid=sid or self.sid, attempt=1, ghost=ghost, needs_people=False, retries=retries
        )

    def attempts(self) -> list[str]:
        return [one.attributes["agenthost.attempt"] for one in self.server.rooms.list_dispatches("lobby")]

    def _sign(self, room: str) -> str:
        self.calls += 1
        self.before_call.get(self.calls, lambda: None)()
        keys = Credentials(api_key=self.server.api_key, api_secret=self.server.api_secret)
        return call_token(keys, room)


@pytest.fixture
async def scene(fake_server: FakeLiveKitServer) -> AsyncIterator[Scene]:
    async with aiohttp.ClientSession() as session:
        made = Scene(fake_server, session)
        await made.open()
        yield made


async def test_of_many_at_once_one_does_it(scene: Scene) -> None:
    """Whoever is told that it deleted creates; there is one dispatch before, during and after."""
    done = await asyncio.gather(*(scene.again() for _ in range(20)))
    assert sorted(one.result.name for one in done) == ["DONE"] + ["TAKEN"] * 19
    assert scene.attempts() == ["1"]


async def test_other_room_of_the_same_name_is_left_alone(scene: Scene) -> None:
    """The call that the job was for is over."""
    assert (await scene.again(sid="RM_before")).result is Result.ROOM_GONE
    assert scene.attempts() == ["0"]


async def test_who_has_not_deleted_removes_nobody(scene: Scene) -> None:
    """The identity may be the new agent's by now, of the host that was first."""
    await scene.api.delete_dispatch("lobby", scene.dispatch.id)
    assert (await scene.again(ghost="caller")).result is Result.TAKEN
    assert "caller" in scene.server.rooms.room("lobby").participants


async def test_lost_connection_before_the_deletion_changes_nothing(scene: Scene) -> None:
    """It may be tried again from the beginning."""
    scene.server.faults = Faults(fail_calls=503)
    with pytest.raises(ConnectionLost):
        await scene.again()
    scene.server.faults = Faults()
    assert (await scene.again()).result is Result.DONE


async def test_server_away_after_the_deletion_is_waited_for(scene: Scene) -> None:
    """Until it is created the dispatch exists nowhere."""

    def fail() -> None:
        scene.server.faults = Faults(fail_calls=503)

    def work() -> None:
        scene.server.faults = Faults()

    scene.before_call = {AFTER_THE_DELETION: fail, AFTER_THE_DELETION + 2: work}
    done = await scene.again(retries=(0.0, 0.0, 0.0))
    assert done.result is Result.DONE
    assert scene.attempts() == ["1"]


@pytest.mark.parametrize(("made_anew", "result"), [(False, Result.DONE), (True, Result.TAKEN)])
async def test_deletion_whose_answer_was_lost_is_ours_unless_somebody_made_it_anew(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, made_anew: bool, result: Result
) -> None:
    """Taking it for somebody else's would lose the call; taking somebody else's would send two agents."""
    monkeypatch.setattr("agenthost.recovery.redispatch.UNSURE_SECONDS", 0.0)
    dispatches = scene.server.rooms.room("lobby").dispatches

    def delete_and_fail() -> None:
        request = CreateAgentDispatchRequest(agent_name="support", room="lobby", attributes={"agenthost.attempt": "1"})
        del dispatches[scene.dispatch.id]
        if made_anew:
            scene.server.rooms.add_dispatch(scene.server.rooms.room("lobby"), request)
        scene.server.faults = Faults(fail_calls=503)

    def work() -> None:
        scene.server.faults = Faults()

    scene.before_call = {2: delete_and_fail, 3: work}
    assert (await scene.again()).result is result
    assert scene.attempts() == ["1"]


async def test_dispatch_that_cannot_be_created_is_called_lost(scene: Scene) -> None:
    """Not taken by somebody else: the log is to say what happened."""

    def fail() -> None:
        scene.server.faults = Faults(fail_calls=503)

    scene.before_call = {AFTER_THE_DELETION: fail}
    assert await scene.again(retries=(0.0,)) == Redispatched(result=Result.LOST)
