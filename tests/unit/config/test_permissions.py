"""Permissions only get narrower."""

import pytest
from msgspec.structs import replace

from agenthost.config.permissions import narrow, restrict, widened
from tests.support.values import EVERYTHING


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (None, None, None),
        (None, ("camera",), ("camera",)),
        (("camera",), None, ("camera",)),
        (("camera", "microphone"), ("microphone", "screen_share"), ("microphone",)),
        (("camera",), ("microphone",), ()),
    ],
)
def test_sources_are_those_in_both(
    first: tuple[str, ...] | None, second: tuple[str, ...] | None, expected: tuple[str, ...] | None
) -> None:
    """None stands for every source."""
    found = restrict(replace(EVERYTHING, can_publish_sources=first), replace(EVERYTHING, can_publish_sources=second))
    assert found.can_publish_sources == expected


def test_restrict_takes_the_narrower_of_each() -> None:
    """False is narrower, but for `hidden`."""
    first, second = replace(EVERYTHING, can_publish=False), replace(EVERYTHING, hidden=True)
    assert restrict(first, second) == replace(EVERYTHING, can_publish=False, hidden=True)


def test_narrow_changes_only_what_is_written() -> None:
    """A rule says what it takes away, nothing else."""
    assert narrow(EVERYTHING, {"can_publish": False}) == replace(EVERYTHING, can_publish=False)


@pytest.mark.parametrize(
    ("key", "has", "written", "wider"),
    [
        ("can_publish", False, True, True),
        ("can_publish", True, False, False),
        ("can_publish", True, True, False),
        ("hidden", True, False, True),
        ("hidden", False, True, False),
        ("can_publish_sources", ("camera",), ("microphone",), True),
        ("can_publish_sources", ("camera",), None, True),
        ("can_publish_sources", None, ("camera",), False),
    ],
)
def test_widened_names_what_asks_for_more(key: str, has: object, written: object, wider: bool) -> None:
    """Exactly the keys that would have no effect."""
    permissions = replace(EVERYTHING, **{key: has})  # type: ignore[arg-type]
    assert widened(permissions, {key: written}) == ((key,) if wider else ())
