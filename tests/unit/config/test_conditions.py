"""The condition of a rule as a tree."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agenthost.config.conditions import (
    ALWAYS,
    GROUPS,
    MAX_DEPTH,
    AllOf,
    AnyOf,
    Matches,
    NotHolding,
    Sample,
    parse_condition,
)
from agenthost.config.matcher_parsing import OPERATORS
from agenthost.config.matchers import Equals, Matcher
from agenthost.config.problems import Problem
from agenthost.config.subjects import KINDS, find_subject
from agenthost.jobs import JobType
from agenthost.matching import Compiler

PATH = ("agents", "a", "requests", "rules", 0, "when")


def problems_of(data: object) -> list[Problem]:
    return parse_condition(data, PATH, JobType.ROOM)[1]


def room(name: str) -> Matches:
    return about("room.name", Equals(value=name))


def about(path: str, matcher: Matcher) -> Matches:
    subject = find_subject(path)
    assert subject is not None
    return Matches(subject=subject, matcher=matcher)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, ALWAYS),
        ({"room.name": "a"}, room("a")),
        ({"room.name": "a", "sample": "10%"}, AllOf(conditions=(room("a"), Sample(fraction=0.1)))),
        ({"any": [{"room.name": "a"}, {}]}, AnyOf(conditions=(room("a"), ALWAYS))),
        ({"all": [{"room.name": "a"}]}, AllOf(conditions=(room("a"),))),
        ({"not": {"room.name": "a"}}, NotHolding(condition=room("a"))),
    ],
)
def test_mapping_is_an_and_of_its_entries(data: dict[str, Any], expected: object) -> None:
    """Groups nest in it; an empty mapping always holds."""
    assert (expected, []) == parse_condition(data, PATH, JobType.ROOM)


def test_same_text_makes_equal_conditions() -> None:
    """A reload that changes nothing is seen as such."""
    data = {"room.name": ["a", "/b/"], "any": [{"agent.jobs": {"lt": 3}}]}
    assert parse_condition(data, PATH, JobType.ROOM) == parse_condition(dict(data), ("other",), JobType.ROOM)


def test_all_problems_are_reported_each_at_its_place() -> None:
    """One run shows everything, wherever it is nested."""
    data = {
        "room.nam": "a",
        "any": [{"job.attributes.x": True}, {"not": {"room.name": {"gtt": 1}}}],
        "time.hour": [8, 99],
    }
    expected = {
        ((*PATH, "room.nam"), "AH230"),
        ((*PATH, "any", 0, "job.attributes.x"), "AH234"),
        ((*PATH, "any", 1, "not", "room.name", "gtt"), "AH233"),
        ((*PATH, "time.hour", 1), "AH233"),
    }
    assert expected == {(problem.path, problem.code) for problem in problems_of(data)}


@pytest.mark.parametrize("data", ["rec-*", None, 7, []])
def test_what_is_no_mapping_is_no_condition(data: object) -> None:
    """The mistake is named once, at the `when`."""
    (problem,) = problems_of(data)
    assert (problem.path, problem.code) == (PATH, "AH232")


@pytest.mark.parametrize("data", [{"any": []}, {"all": {"room.name": "a"}}, {"any": "x"}])
def test_group_takes_a_list(data: dict[str, Any]) -> None:
    """An empty `any` would never hold, and is a mistake."""
    (problem,) = problems_of(data)
    assert "takes a list of conditions" in problem.message


def test_deep_nesting_is_refused_without_recursion() -> None:
    """A file cannot exhaust the stack."""
    data: dict[str, Any] = {"room.name": "a"}
    for _ in range(MAX_DEPTH * 20):
        data = {"not": data}
    (problem,) = problems_of(data)
    assert "nest deeper" in problem.message


_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(
        [10**400, -(10**400), "9" * 5000, "9" * 5000 + "..1", "1..2", "mon..x", "8..30", "//", "/", "[", "/[/"]
    ),
    st.sampled_from(["2026-02-30", "10%", "1000%", "5m", "..", "*", "\ud800", "/\ud800/", "/(a{999}){999}/"]),
)
_KEYS = st.sampled_from([*KINDS, *OPERATORS, *GROUPS, "job.metadata.x", "job.attributes.x", "rom.name", "", "a.b.c.d"])
_DATA = st.recursive(
    _SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(_KEYS, inner, max_size=3)),
    max_leaves=6,
)


@given(st.one_of(_DATA, st.dictionaries(_KEYS, _DATA, max_size=3)), st.sampled_from(JobType))
@settings(max_examples=150)
def test_whatever_is_written_is_a_condition_or_problems_at_their_places(data: object, type: JobType) -> None:
    """The parser never raises, and what it accepts compiles."""
    condition, problems = parse_condition(data, PATH, type)
    assert all(problem.path[: len(PATH)] == PATH and problem.message for problem in problems)
    if not problems:
        compiler = Compiler("front")
        compiler.compile(condition, "rule")
        compiler.regex_sets()
