"""What is wrong with an entry of `tests:` before it runs."""

from msgspec.structs import replace

from agenthost.config.example_checks import check_example, receiver_of
from tests.support.values import make_agent, make_example, make_requests, make_rule

PATH = ("tests", 3)
AGENTS = {
    "front": make_agent(requests=make_requests(make_rule("gold", {"room.name": "vip"}))),
    "support": make_agent("support"),
}


def test_example_goes_to_the_agent_it_names_else_to_the_first() -> None:
    """A file of one agent needs no `agent:`."""
    assert receiver_of(make_example(agent="support"), AGENTS).id == "support"
    assert receiver_of(make_example(), AGENTS).id == "front"


def test_known_names_are_fine() -> None:
    """A rule of the receiver, `otherwise`, any agent of the file."""
    for rule in ("gold", "otherwise"):
        assert check_example(make_example(rule=rule, expected_agent="support"), AGENTS, PATH) == []


def test_unknown_rule_and_agent_are_answered_with_the_closest() -> None:
    """A typing error would otherwise read like a wrong rule."""
    found = check_example(make_example(rule="glod", expected_agent="suport"), AGENTS, PATH)
    expected = [((*PATH, "expect", "agent"), "support"), ((*PATH, "expect", "rule"), "gold")]
    assert expected == [(problem.path, problem.fix) for problem in found]


def test_problems_of_the_request_are_reported_too() -> None:
    """At their place inside the test."""
    (problem,) = check_example(replace(make_example(), request={"room.nam": "a"}), AGENTS, PATH)
    assert problem.path == (*PATH, "request", "room.nam")
