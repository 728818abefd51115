"""Whether one condition holds whenever another does."""

import time
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import assume, given, settings

from agenthost.config.conditions import parse_condition
from agenthost.config.implication import implies
from agenthost.jobs import JobType, RoomInfo
from agenthost.matching import Compiler
from agenthost.offer_values import Values
from tests.support import rule_strategies as strategies
from tests.support.values import MONDAY_NOON, make_condition, make_facts, make_participant_offer


@pytest.mark.parametrize(
    ("stronger", "weaker"),
    [
        ({"room.name": "a"}, {}),
        ({"room.name": "a"}, {"room.name": "a"}),
        ({"room.name": "a", "agent.jobs": 1}, {"agent.jobs": 1}),
        ({"room.name": "rec-1"}, {"room.name": "rec-*"}),
        ({"room.name": "rec-1-*"}, {"room.name": "rec-*"}),
        ({"room.name": "rec-?"}, {"room.name": "rec-*"}),
        ({"room.name": "vip-7"}, {"room.name": "/^vip-[0-9]+$/"}),
        ({"room.name": ["a", "b-1"]}, {"room.name": ["b-*", "a", "c"]}),
        ({"room.name": "a"}, {"room.name": {"exists": True}}),
        ({"agent.jobs": 3}, {"agent.jobs": {"ge": 2}}),
        ({"agent.jobs": "3..4"}, {"agent.jobs": "2..5"}),
        ({"agent.jobs": {"gt": 3}}, {"agent.jobs": {"ge": 3}}),
        ({"time.hour": "9..12"}, {"time.hour": "8..18"}),
        ({"time.weekday": "tue"}, {"time.weekday": "mon..fri"}),
        ({"room.name": {"not": ["a", "b"]}}, {"room.name": {"not": "a"}}),
        ({"not": {"room.name": "rec-*"}}, {"not": {"room.name": "rec-1"}}),
        ({"any": [{"room.name": "a"}, {"room.name": "b"}]}, {"room.name": ["a", "b"]}),
        ({"room.name": "a"}, {"any": [{"agent.jobs": 1}, {"room.name": "a"}]}),
        ({"room.name": "a"}, {"sample": "100%"}),
        ({"sample": "0%"}, {"room.name": "a"}),
    ],
)
def test_narrower_condition_implies_the_wider(stronger: dict[str, Any], weaker: dict[str, Any]) -> None:
    """These pairs in this order make the second rule unreachable."""
    assert implies(make_condition(stronger), make_condition(weaker))


@pytest.mark.parametrize(
    ("stronger", "weaker"),
    [
        ({}, {"room.name": "a"}),
        ({"room.name": "rec-*"}, {"room.name": "rec-1"}),
        ({"room.name": "a*"}, {"room.name": "a?"}),
        ({"room.name": "[*]"}, {"room.name": "*]"}),
        ({"room.name": "a"}, {"room.name": "/^vip/"}),
        ({"room.name": ["a", "b"]}, {"room.name": "a"}),
        ({"agent.jobs": {"ge": 3}}, {"agent.jobs": {"gt": 3}}),
        ({"agent.jobs": {"ge": 3}}, {"agent.jobs": {"le": 3}}),
        ({"room.name": {"exists": False}}, {"room.name": {"not": "a"}}),
        ({"not": {"room.name": "a"}}, {"room.name": {"not": "a"}}),
        ({"job.metadata.x": True}, {"job.metadata.x": 1}),
        ({"job.metadata.x": "a"}, {"room.name": "a"}),
        ({"sample": "50%"}, {"sample": "50%"}),
        ({"sample": "10%"}, {"sample": "20%"}),
        ({"not": {"sample": "50%"}}, {"not": {"sample": "50%"}}),
    ],
)
def test_no_condition_implies_what_can_fail_beside_it(stronger: dict[str, Any], weaker: dict[str, Any]) -> None:
    """A rule that can still decide is never called unreachable."""
    assert not implies(make_condition(stronger), make_condition(weaker))


@pytest.mark.quiet
@pytest.mark.parametrize("deep", ["groups", "lists"])
def test_deep_nesting_is_compared_in_moments(deep: str) -> None:
    """A file cannot make its own check hang: without memory these two would take hours."""
    first: Any = {"room.name": "a"}
    second: Any = {"room.name": "b"}
    for number in range(14):
        first = {"all": [first, {"agent.jobs": number}]} if deep == "groups" else first
        second = {"any": [second, {"agent.jobs": {"gt": number + 50}}]} if deep == "groups" else second
    if deep == "lists":
        first, second = {"room.name": nested("a")}, {"room.name": nested("b")}
    started = time.perf_counter()
    assert not implies(make_condition(first), make_condition(second))
    assert time.perf_counter() - started < 1.0


def nested(text: str) -> Any:
    matcher: Any = text
    for number in range(7):
        matcher = {"not": [matcher, f"{text}-{number}-*"]}
    return matcher


OFFERS = [
    make_participant_offer(identity, kind=kind, room=room, metadata=metadata, attributes=attributes)
    for identity, kind, attributes in (("a", "sip", {"tier": "ab"}), ("support-1", "standard", {}))
    for room in (RoomInfo(name=name, metadata=name, num_participants=len(name)) for name in ("a", "ab", "abc", "vip-7"))
    for metadata in ("", '{"tier": "gold"}', '{"tier": 1}', '{"tier": true}')
]
FACTS = [
    make_facts(MONDAY_NOON + timedelta(hours=hours), agent_jobs=jobs) for hours, jobs in ((0, 0), (12, 2), (140, 4))
]


@given(strategies.related_conditions())
@settings(max_examples=400)
def test_implied_condition_holds_whenever_the_stronger_does(pair: tuple[dict[str, Any], dict[str, Any]]) -> None:
    """`implies` is sound: no offer shows it wrong, whatever the names of the rules are."""
    first, second = (parse_condition(data, ("when",), JobType.PARTICIPANT)[0] for data in pair)
    assume(implies(first, second))
    compiler = Compiler("front")
    strong, weak = compiler.compile(first, "first"), compiler.compile(second, "second")
    regex_sets = compiler.regex_sets()
    for offer, facts in product(OFFERS, FACTS):
        values = Values(offer, facts, compiler.subjects, regex_sets)
        assert weak(values) or not strong(values)
