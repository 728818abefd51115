"""Numbers of protobuf's enums, known and unknown."""

from livekit.protocol import models

from agenthost.enum_names import enum_name


def test_known_numbers_have_their_names() -> None:
    """As LiveKit calls them, in lower case."""
    kinds = models.ParticipantInfo.Kind
    assert [enum_name(kinds, number) for number in kinds.values()] == [name.lower() for name in kinds.keys()]  # noqa: SIM118


def test_unknown_numbers_are_told_apart() -> None:
    """Those of a newer server, and whatever else fits into the field."""
    assert [enum_name(models.ParticipantInfo.Kind, number) for number in (99, -1)] == ["unknown-99", "unknown--1"]
