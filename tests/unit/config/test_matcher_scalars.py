"""What one scalar of a rule means, by the kind of its subject."""

import pytest

from agenthost.config.matcher_scalars import Refused, read_bound, read_exact, read_fraction, read_scalar
from agenthost.config.matchers import Compare, Equals, Every, Glob, Matcher, OneOf, Order, Regex
from agenthost.config.subjects import Subject, find_subject


def subject(text: str) -> Subject:
    found = find_subject(text)
    assert found is not None
    return found


def between(low: float | str, high: float | str) -> Every:
    return Every(matchers=(Compare(order=Order.GE, bound=low), Compare(order=Order.LE, bound=high)))


def any_of(*values: str | int) -> OneOf:
    return OneOf(matchers=tuple(Equals(value=value) for value in values))


@pytest.mark.parametrize(
    ("path", "data", "expected"),
    [
        ("room.name", "lobby", Equals(value="lobby")),
        ("room.name", "rec-*", Glob(text="rec-*")),
        ("room.name", "/^vip-[0-9]+$/", Regex(pattern="^vip-[0-9]+$")),
        ("room.name", "/", Equals(value="/")),
        ("room.name", "/calls/mi", Equals(value="/calls/mi")),
        ("room.name", "a..b", Equals(value="a..b")),
        ("job.attributes.tier", "", Equals(value="")),
        ("job.attributes.tier", "7", Equals(value="7")),
        ("job.metadata.tier", True, Equals(value=True)),
        ("job.metadata.tier", 7, Equals(value=7)),
        ("job.metadata.tier", "7", Equals(value="7")),
        ("job.metadata.tier", "2..5.5", between(2.0, 5.5)),
        ("room.num_participants", 3, Equals(value=3.0)),
        ("room.num_participants", "3", Equals(value=3.0)),
        ("room.num_participants", "2..5", between(2.0, 5.0)),
        ("agent.jobs", "-2..-1", between(-2.0, -1.0)),
        ("room.age", "5m..1h30m", between(300.0, 5400.0)),
        ("time.hour", 8, Equals(value=8)),
        ("time.hour", "8..11", any_of(8, 9, 10)),
        ("time.hour", "22..2", any_of(22, 23, 0, 1)),
        ("time.hour", "22..24", any_of(22, 23)),
        ("time.hour", "0..24", any_of(*range(24))),
        ("time.weekday", "mon", Equals(value="mon")),
        ("time.weekday", "sat..mon", any_of("sat", "sun", "mon")),
        ("time.date", "2026-12-24", Equals(value="2026-12-24")),
        ("time.date", "*-12-24", Glob(text="*-12-24")),
        ("time.date", "2026-12-24..2026-12-26", between("2026-12-24", "2026-12-26")),
    ],
)
def test_scalar_is_read_by_the_kind_of_its_subject(path: str, data: object, expected: Matcher) -> None:
    """One spelling, one meaning for each kind of subject."""
    assert expected == read_scalar(data, subject(path))


@pytest.mark.parametrize(
    ("path", "data", "code", "message", "hint"),
    [
        ("job.attributes.x", True, "AH234", "attributes are strings: `true` never equals one", 'write `"true"`'),
        ("job.attributes.x", 7, "AH234", "attributes are strings: `7` never equals one", 'write `"7"`'),
        ("room.name", 7, "AH234", "`room.name` is text: `7` never equals one", 'write `"7"`'),
        ("room.name", "8..18", "AH233", "a range compares numbers", '{ in: ["8..18"] }'),
        ("room.name", "", "AH233", "an empty `room.name` counts as missing", "{ exists: false }"),
        ("room.name", None, "AH233", "`null` is no value", "{ exists: false }"),
        ("room.name", "/(?=x)/", "AH235", "cannot be used: invalid perl operator", "RE2"),
        ("room.name", "/(/", "AH235", "cannot be used: missing )", "RE2"),
        ("room.name", "/((a{900}){900}){900}/", "AH235", "cannot be used", "RE2"),
        ("room.name", "/^vip/i", "AH235", "no flags", "(?i)"),
        ("job.type", "rooms", "AH233", "never `rooms`", "did you mean `room`?"),
        ("participant.kind", "SIP", "AH233", "never `SIP`", "did you mean `sip`?"),
        ("participant.kind", "person", "AH233", "never `person`", "standard, ingress"),
        ("room.num_participants", "many", "AH233", "compared with numbers", "{ ge: 2 }"),
        ("room.num_participants", True, "AH233", "compared with numbers", "{ ge: 2 }"),
        ("room.num_participants", "5..2", "AH233", "range is empty", "smaller end first"),
        ("room.age", 300, "AH233", "compared with durations, not with `300`", "write `5m`"),
        ("room.age", "soon", "AH233", "compared with durations", "has a unit"),
        ("room.age", "5m", "AH233", "never exactly 5m", "{ gt: 5m }"),
        ("time.hour", 24, "AH233", "whole hour, 0 to 23", "8:00 to 17:59"),
        ("time.hour", "8:30..18", "AH233", "whole hour", "8:00 to 17:59"),
        ("time.hour", "8..8", "AH233", "no time at all", "8..9"),
        ("time.weekday", "Mon", "AH233", "never `Mon`", "did you mean `mon`?"),
        ("time.weekday", 1, "AH233", "never `1`", "mon, tue"),
        ("time.date", "24.12.2026", "AH233", "is no date", "2026-12-24"),
    ],
)
def test_scalar_that_can_never_match_is_refused(path: str, data: object, code: str, message: str, hint: str) -> None:
    """A rule that would silently never act is an error that says how to write it."""
    with pytest.raises(Refused) as caught:
        read_scalar(data, subject(path))
    assert code == caught.value.code
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize("text", ["rec-*", "/x/", "8..18"])
def test_in_takes_text_as_it_stands(text: str) -> None:
    """`in` is the way to write text that would otherwise be a pattern."""
    assert Equals(value=text) == read_exact(text, subject("room.name"))


@pytest.mark.parametrize(("path", "data"), [("agent.jobs", "2..5"), ("time.date", "2026-*"), ("time.hour", "8..9")])
def test_in_takes_no_patterns(path: str, data: str) -> None:
    """Where text is not the point, `in` still means exact values."""
    with pytest.raises(Refused, match="exact values only"):
        read_exact(data, subject(path))


@pytest.mark.parametrize(
    ("path", "data", "expected"),
    [("agent.jobs", 3, 3.0), ("room.age", "5m", 300.0), ("time.date", "2026-12-24", "2026-12-24"), ("time.hour", 8, 8)],
)
def test_bound_has_the_unit_of_its_subject(path: str, data: object, expected: float | str) -> None:
    """`{ gt: 5m }` compares seconds, `{ ge: 2026-12-24 }` dates."""
    assert expected == read_bound(data, subject(path))


@pytest.mark.parametrize("path", ["room.name", "job.attributes.x", "time.weekday"])
def test_subjects_without_order_take_no_bounds(path: str) -> None:
    """Text has no order that a rule should depend on."""
    with pytest.raises(Refused, match="has no order"):
        read_bound(3, subject(path))


@pytest.mark.parametrize(("data", "expected"), [("10%", 0.1), (0.1, 0.1), ("100%", 1.0), ("0%", 0.0)])
def test_sample_is_a_ratio(data: object, expected: float) -> None:
    """`sample` is written as other ratios are."""
    assert expected == read_fraction(data)


@pytest.mark.parametrize(
    ("data", "hint"), [(10, "write `10%`"), (True, "10%"), ("x", "10%"), ("150%", ""), ([], "10%")]
)
def test_sample_that_is_no_ratio_is_refused(data: object, hint: str) -> None:
    """A bare number is an error that shows the right spelling."""
    with pytest.raises(Refused) as caught:
        read_fraction(data)
    assert hint in caught.value.hint
