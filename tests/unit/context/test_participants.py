"""Participants without a room: what is refused, and what the end of a job wakes."""

import pytest

from agenthost.context.job_room import JobRoom
from agenthost.context.participants import Participants, default_kinds


async def _greet(participant: object) -> None: ...


async def test_same_entrypoint_twice_is_refused() -> None:
    """As in livekit-agents: it would run twice for everyone."""
    participants = Participants(JobRoom("lobby"))
    participants.add_entrypoint(_greet, _greet, default_kinds())
    with pytest.raises(ValueError, match=r"_greet was added before; add each function once"):
        participants.add_entrypoint(_greet, _greet, default_kinds())


async def test_nobody_comes_to_a_room_that_is_not_connected() -> None:
    """Waiting would be for ever."""
    with pytest.raises(RuntimeError, match="no participant will come: the room is not connected"):
        await Participants(JobRoom("lobby")).wait(None, default_kinds())


async def test_nobody_comes_after_the_end() -> None:
    """The reason of the end is in the error."""
    participants = Participants(JobRoom("lobby"))
    participants.close("drain deadline")
    with pytest.raises(RuntimeError, match="no participant will come: drain deadline"):
        await participants.wait(None, default_kinds())
