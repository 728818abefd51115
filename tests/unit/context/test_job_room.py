"""`JobRoom` before it is connected; joining is tried in tests/e2e."""

import pytest
from livekit.rtc import ConnectError

from agenthost.context.job_room import JobRoom


async def test_room_has_its_name_before_it_is_connected() -> None:
    """User code may log it, or ask the API about it, first."""
    room = JobRoom("lobby")
    assert room.name == "lobby"
    assert not room.joined


async def test_attempt_to_connect_that_fails_joins_nothing() -> None:
    """Its error goes to whoever called connect."""
    room = JobRoom("lobby")
    joins: list[None] = []
    room.when_joined(lambda: joins.append(None))
    with pytest.raises(ConnectError):
        await room.connect("ws://127.0.0.1:9", "token")
    assert not room.joined
    assert joins == []
