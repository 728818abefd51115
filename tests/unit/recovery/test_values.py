"""What recovery reads out of dispatches."""

import pytest

from agenthost.jobs import JobType, RoomInfo
from agenthost.recovery.values import DispatchInfo, attempt_of


@pytest.mark.parametrize(
    ("text", "attempt"), [("0", 0), ("3", 3), ("", 0), ("-1", 0), ("x", 0), ("²", 0), ("9" * 5000, 0)]
)
def test_attempt_is_a_small_number_or_none(text: str, attempt: int) -> None:
    """Attributes are texts that anybody may set."""
    assert attempt_of({"agenthost.attempt": text}) == attempt


def test_dispatch_never_made_anew_has_no_count() -> None:
    """The attribute appears with the first restart."""
    assert attempt_of({"other": "1"}) == 0


def test_rules_are_asked_with_everything_that_the_server_would_offer() -> None:
    """A rule about metadata or attributes decides here as it would there."""
    dispatch = DispatchInfo(
        id="AD_1", room="lobby", agent_name="a", deployment="blue", metadata="m", attributes={"tier": "gold"}
    )
    room = RoomInfo(name="lobby", sid="RM_1", metadata="r")
    offer = dispatch.offer(room)
    assert (offer.type, offer.room, offer.dispatch_id) == (JobType.ROOM, room, "AD_1")
    assert (offer.agent_name, offer.deployment, offer.metadata) == ("a", "blue", "m")
    assert offer.attributes == {"tier": "gold"}


def test_metadata_and_attributes_stay_out_of_texts() -> None:
    """They are people's data; a repr ends in a log sooner or later."""
    dispatch = DispatchInfo(id="AD_1", room="lobby", agent_name="a", metadata="private", attributes={"k": "private"})
    assert "private" not in repr(dispatch)
