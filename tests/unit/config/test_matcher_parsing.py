"""Lists and operators of one matcher."""

import pytest

from agenthost.config.matcher_parsing import MAX_DEPTH, parse_fraction, parse_matcher
from agenthost.config.matchers import Compare, Equals, Every, Exists, Glob, Matcher, NotMatching, OneOf, Order
from agenthost.config.problems import Problem
from agenthost.config.subjects import find_subject

PATH = ("when", "room.name")


def parse(data: object, path: str = "room.name") -> tuple[Matcher | None, list[Problem]]:
    subject = find_subject(path)
    assert subject is not None
    problems: list[Problem] = []
    return parse_matcher(data, PATH, subject, problems), problems


@pytest.mark.parametrize(
    ("path", "data", "expected"),
    [
        ("room.name", ["a", "b-*"], OneOf(matchers=(Equals(value="a"), Glob(text="b-*")))),
        ("room.name", {"not": "a"}, NotMatching(matcher=Equals(value="a"))),
        ("room.name", {"not": ["a"]}, NotMatching(matcher=OneOf(matchers=(Equals(value="a"),)))),
        ("room.name", {"exists": False}, Exists(wanted=False)),
        ("room.name", {"in": ["a*"]}, OneOf(matchers=(Equals(value="a*"),))),
        ("agent.jobs", {"lt": 3}, Compare(order=Order.LT, bound=3.0)),
        (
            "agent.jobs",
            {"ge": 3, "le": 3},
            Every(matchers=(Compare(order=Order.GE, bound=3.0), Compare(order=Order.LE, bound=3.0))),
        ),
    ],
)
def test_matcher_is_read(path: str, data: object, expected: Matcher) -> None:
    """A list is any of its items; several operators hold together."""
    assert (expected, []) == parse(data, path)


@pytest.mark.parametrize(
    ("path", "data", "place", "message"),
    [
        ("room.name", [], PATH, "an empty list matches nothing"),
        ("room.name", {}, PATH, "an empty mapping is no matcher"),
        ("room.name", ["a", 7], (*PATH, 1), "never equals one"),
        ("room.name", {"gtt": 1}, (*PATH, "gtt"), "unknown operator `gtt`"),
        ("room.name", {"exists": "yes"}, (*PATH, "exists"), "`true` or `false`"),
        ("room.name", {"in": "a"}, (*PATH, "in"), "takes a list"),
        ("room.name", {"in": []}, (*PATH, "in"), "takes a list"),
        ("room.name", {"in": ["a", None]}, (*PATH, "in", 1), "`null`"),
        ("room.name", {"exists": False, "not": "a"}, PATH, "never matches"),
        ("agent.jobs", {"gt": 5, "lt": 5}, PATH, "nothing is both `gt: 5.0` and `lt: 5.0`"),
        ("agent.jobs", {"ge": 6, "le": 5}, PATH, "nothing is both"),
        ("time.date", {"gt": "2026-12-24", "lt": "2026-12-01"}, PATH, "nothing is both"),
    ],
)
def test_mistake_is_reported_where_it_stands(path: str, data: object, place: tuple[str, ...], message: str) -> None:
    """The key or item that causes it, not the whole rule."""
    _, (problem,) = parse(data, path)
    assert place == problem.path
    assert message in problem.message


def test_misspelt_operator_can_be_fixed_at_its_key() -> None:
    """The finding underlines the operator."""
    _, (problem,) = parse({"exist": True})
    assert (problem.at_key, problem.fix) == (True, "exists")


def test_mapping_under_metadata_is_answered_with_the_path() -> None:
    """Who writes the JSON's shape learns how a path into it is written."""
    _, (problem,) = parse({"tier": "gold"}, "job.metadata")
    assert problem.hint == "for a value inside, write the path `job.metadata.tier`"


def test_deep_nesting_is_refused() -> None:
    """A file cannot exhaust the stack."""
    data: object = "a"
    for _ in range(MAX_DEPTH * 50):
        data = [data]
    _, (problem,) = parse(data)
    assert "nest deeper" in problem.message


def test_fraction_that_is_none_is_a_problem_at_its_place() -> None:
    """`sample: 10` points at the 10."""
    problems: list[Problem] = []
    assert parse_fraction(10, ("when", "sample"), problems) is None
    assert [problem.path for problem in problems] == [("when", "sample")]
