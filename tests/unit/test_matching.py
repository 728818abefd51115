"""What each matcher and group accepts, in offers as they come."""

import time
from typing import Any

import pytest

from agenthost.jobs import JobType, Offer, RoomInfo
from agenthost.matching import Compiler
from agenthost.offer_values import Facts, Values
from tests.support.values import MONDAY_NOON, make_condition, make_facts, make_offer, make_participant_offer


def holds(when: dict[str, Any], offer: Offer, facts: Facts | None = None, *, rule: str = "rule") -> bool:
    compiler = Compiler("front")
    predicate = compiler.compile(make_condition(when, JobType.PARTICIPANT), rule)
    return predicate(Values(offer, facts or make_facts(), compiler.subjects, compiler.regex_sets()))


@pytest.mark.parametrize(
    ("matcher", "room", "expected"),
    [
        ("lobby", "lobby", True),
        ("lobby", "lobby2", False),
        ("Lobby", "lobby", False),
        ("rec-*", "rec-", True),
        ("rec-*", "a-rec-1", False),
        ("*-eu-*", "call-eu-7", True),
        ("r?c", "rec", True),
        ("r?c", "reec", False),
        ("vip-[0-9]", "vip-7", True),
        ("vip-[!0-9]", "vip-7", False),
        ("a.c", "abc", False),
        ("*", "a\nb", True),
        ("/^vip-[0-9]+$/", "vip-77", True),
        ("/^vip-[0-9]+$/", "vip-77\n", False),
        ("/vip/", "a vip room", True),
        ("/(?i)VIP/", "vip", True),
        ("/^ü.$/", "üä", True),
        (["a", "/^b/"], "bcd", True),
        (["a", "/^b/"], "cd", False),
        ({"not": "rec-*"}, "lobby", True),
        ({"not": ["rec-*", "lobby"]}, "lobby", False),
        ({"in": ["rec-*"]}, "rec-1", False),
        ({"in": ["rec-*"]}, "rec-*", True),
    ],
)
def test_text(matcher: object, room: str, expected: bool) -> None:
    """Globs match the whole text and mind upper case; regexes match anywhere."""
    assert expected is holds({"room.name": matcher}, make_offer(room))


@pytest.mark.parametrize(
    ("matcher", "metadata", "expected"),
    [
        ("gold", '{"tier": "gold"}', True),
        ("g*", '{"tier": "gold"}', True),
        (7, '{"tier": 7}', True),
        (7, '{"tier": 7.0}', True),
        (7, '{"tier": "7"}', False),
        ("7", '{"tier": 7}', False),
        (1, '{"tier": true}', False),
        (True, '{"tier": true}', True),
        (True, '{"tier": 1}', False),
        ("2..5", '{"tier": 5}', True),
        ("2..5", '{"tier": 5.1}', False),
        ("2..5", '{"tier": "3"}', False),
        ({"gt": 0}, '{"tier": true}', False),
        ({"exists": True}, '{"tier": {"a": 1}}', True),
        ({"exists": True}, '{"tier": null}', False),
        ({"exists": True}, '{"tier": false}', True),
        ({"exists": False}, '{"other": 1}', True),
        ({"not": "gold"}, '{"tier": "silver"}', True),
        ({"not": "gold"}, "{}", False),
        (["gold", {"exists": False}], "", True),
        ("*", '{"tier": ["gold"]}', False),
        ("/^.$/", '{"tier": "\\ud800"}', True),
    ],
)
def test_value_inside_metadata(matcher: object, metadata: str, expected: bool) -> None:
    """JSON's own types count; a missing value matches nothing but `exists: false`."""
    assert expected is holds({"job.metadata.tier": matcher}, make_offer(metadata=metadata))


@pytest.mark.parametrize("metadata", ["", "gold", "{", '{"a": {"b": NaN}}', "[" * 100_000, '{"a": ' + "9" * 5000 + "}"])
def test_metadata_that_is_no_json_has_no_values(metadata: str) -> None:
    """Broken JSON is a missing value, not an error."""
    assert holds({"job.metadata.a.b": {"exists": False}}, make_offer(metadata=metadata))


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({"job.metadata": {"exists": False}}, True),
        ({"job.metadata": {"not": "x"}}, False),
        ({"not": {"job.metadata": "x"}}, True),
        ({"job.attributes.tier": {"exists": False}}, False),
        ({"job.attributes.tier": ""}, True),
        ({"job.attributes.gone": ""}, False),
    ],
)
def test_missing_value(when: dict[str, Any], expected: bool) -> None:
    """An empty text of the server's is missing; an attribute that is set to nothing is there."""
    assert expected is holds(when, make_offer(attributes={"tier": ""}))


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({"participant.identity": "caller"}, True),
        ({"participant.kind": "sip"}, True),
        ({"participant.kind": "standard"}, False),
        ({"participant.attributes.sip.trunk": "t-*"}, True),
        ({"participant.name": {"exists": True}}, False),
    ],
)
def test_participant(when: dict[str, Any], expected: bool) -> None:
    """Participants are matched by what the server says of them."""
    assert expected is holds(when, make_participant_offer(kind="sip", attributes={"sip.trunk": "t-1"}))


def test_participant_of_a_room_job_is_missing_altogether() -> None:
    """Without a participant there is no kind either."""
    assert holds({"participant.kind": {"exists": False}}, make_offer())


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({"room.age": {"gt": "9m"}}, True),
        ({"room.age": {"gt": "11m"}}, False),
        ({"room.age": "10m..20m"}, True),
        ({"agent.jobs": {"ge": 2, "lt": 3}}, True),
        ({"agent.jobs": 3}, False),
        ({"room.num_participants": "1..2"}, True),
        ({"time.hour": "8..12"}, False),
        ({"time.hour": "8..13"}, True),
        ({"time.hour": {"ge": 12}}, True),
        ({"time.weekday": "sat..mon"}, True),
        ({"time.date": "2026-03-*"}, True),
        ({"time.date": "2026-03-01..2026-03-02"}, True),
        ({"time.date": {"lt": "2026-03-02"}}, False),
    ],
)
def test_numbers_and_time(when: dict[str, Any], expected: bool) -> None:
    """It is Monday, 2 March, noon; the room is ten minutes old, with two people and two jobs of ours."""
    room = RoomInfo(name="lobby", num_participants=2, created_at=MONDAY_NOON.timestamp() - 600)
    assert expected is holds(when, make_offer(room=room), make_facts(agent_jobs=2))


def test_room_whose_age_the_server_did_not_say_has_none() -> None:
    """`created_at` 0 is not 1970."""
    assert holds({"room.age": {"exists": False}}, make_offer(room=RoomInfo(name="lobby")))


def test_groups_combine() -> None:
    """`any`, `all` and `not` nest."""
    when = {"any": [{"room.name": "a"}, {"all": [{"room.name": "b*"}, {"not": {"room.name": "bad"}}]}]}
    assert [holds(when, make_offer(room)) for room in ("a", "big", "bad", "c")] == [True, True, False, False]


def test_sample_picks_a_stable_share_of_the_rooms() -> None:
    """The same rooms every time, about as many as asked for, others for another rule."""
    offers = [make_offer(f"room-{number}") for number in range(2000)]
    picked = [holds({"sample": "10%"}, offer) for offer in offers]
    assert picked == [holds({"sample": "10%"}, offer) for offer in offers]
    assert 150 < sum(picked) < 250
    assert picked != [holds({"sample": "10%"}, offer, rule="other") for offer in offers]


def test_larger_sample_keeps_the_rooms_of_the_smaller() -> None:
    """Turning a canary up moves nobody back."""
    offers = [make_offer(f"room-{number}") for number in range(500)]
    small = {offer.room.name for offer in offers if holds({"sample": "10%"}, offer)}
    assert small < {offer.room.name for offer in offers if holds({"sample": "30%"}, offer)}


def test_samples_of_two_rules_are_independent() -> None:
    """A canary of a tenth and a trial of a half share a twentieth of the rooms, whatever the rules are called."""
    offers = [make_offer(f"support-{number:05}") for number in range(2000)]
    for first, second in (("canary", "trial"), ("rule 1", "rule 2"), ("a", "b")):
        both = [holds({"sample": "10%"}, o, rule=first) and holds({"sample": "50%"}, o, rule=second) for o in offers]
        assert 60 < sum(both) < 150, (first, second)


def test_whole_and_no_sample_are_exact() -> None:
    """Neither loses a room to rounding."""
    offers = [make_offer(f"room-{number}") for number in range(300)]
    assert all(holds({"sample": "100%"}, offer) for offer in offers)
    assert not any(holds({"sample": "0%"}, offer) for offer in offers)


def test_sample_is_the_same_on_every_machine() -> None:
    """Hosts of a cluster agree, today and after an upgrade: these rooms are picked for good."""
    picked = [f"room-{number}" for number in range(30) if holds({"sample": "10%"}, make_offer(f"room-{number}"))]
    assert picked == ["room-4", "room-9"]


@pytest.mark.quiet
@pytest.mark.parametrize(
    "matcher", ["/^(a+)+b$/", "/(a|a)*b/", "/a.*a.*a.*a.*b/", "*a*a*a*a*a*a*b", "a?" * 3 + "*a*a*b"]
)
def test_no_pattern_makes_a_decision_hang(matcher: str) -> None:
    """Patterns that make a backtracking engine hang for hours answer at once."""
    started = time.perf_counter()
    assert not holds({"room.metadata": matcher}, make_offer(room=RoomInfo(name="r", metadata="a" * 60_000)))
    assert time.perf_counter() - started < 0.5


def test_text_is_cut_for_matchers() -> None:
    """What lies beyond 4 KiB of a text is not looked at."""
    offer = make_offer(metadata="a" * 4096 + "needle")
    assert not holds({"job.metadata": "*needle"}, offer)
    assert holds({"job.metadata": "/^a{100}/"}, offer)
