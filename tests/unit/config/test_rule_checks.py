"""What is wrong with rules that are each well written."""

import time

import pytest
from msgspec.structs import replace

from agenthost.config.findings import Severity
from agenthost.config.model import AcceptTemplate, Action, AgentConfig, RuleConfig
from agenthost.config.problems import Problem
from agenthost.config.rule_checks import check_rules
from agenthost.jobs import JobType
from tests.support.values import EVERYTHING, make_agent, make_requests, make_rule

PATH = ("agents", "front", "requests")


def problems_of(*rules: RuleConfig, others: tuple[AgentConfig, ...] = (), **changes: object) -> list[Problem]:
    receiver = make_agent(requests=make_requests(*rules), **changes)
    return check_rules(receiver, {agent.id: agent for agent in (receiver, *others)}, PATH)


def test_good_rules_have_no_problems() -> None:
    """Overlapping rules are what rules are for."""
    rules = make_rule("vip", {"room.name": "vip-*"}, agent="gold"), make_rule("v", {"room.name": "v*"}, Action.REJECT)
    assert problems_of(*rules, others=(make_agent("gold"),)) == []


def test_rule_behind_one_that_matches_all_of_it_is_unreachable() -> None:
    """The warning points at the later rule, and shows the earlier."""
    rules = make_rule("r", {"room.name": "r*"}), make_rule("rec", {"room.name": "rec-*"}, Action.TERMINATE)
    (problem,) = problems_of(*rules)
    assert (problem.code, problem.severity) == ("AH250", Severity.WARNING)
    assert ((*PATH, "rules", 1), (*PATH, "rules", 0)) == (problem.path, problem.related)


@pytest.mark.quiet
def test_thousands_of_rules_are_checked_in_moments() -> None:
    """Each is compared with the broadest before it, so that the rule that covers the others is found in any case."""
    rules = [make_rule(f"rule {n}", {"room.name": f"room-{n}-*", "agent.jobs": n}, Action.REJECT) for n in range(2000)]
    rules.insert(1000, make_rule("all rooms", {"room.name": "room-*"}))
    started = time.perf_counter()
    found = problems_of(*rules)
    assert time.perf_counter() - started < 2.0
    assert len(found) == 1000
    assert {problem.related for problem in found} == {(*PATH, "rules", 1000)}


def test_unknown_agent_is_answered_with_the_closest() -> None:
    """A misspelt id can be fixed."""
    (problem,) = problems_of(make_rule("r", {}, agent="gld"), others=(make_agent("gold"),))
    assert ((*PATH, "rules", 0, "agent"), "AH251", "gold") == (problem.path, problem.code, problem.fix)


def test_target_without_entrypoint_cannot_run() -> None:
    """Routing to an agent that only routes leads nowhere."""
    (problem,) = problems_of(make_rule("r", {}, agent="gold"), others=(make_agent("gold", entrypoint=None),))
    assert problem.message == "agent `gold` has no `entrypoint` to run"


def test_target_of_another_type_is_refused() -> None:
    """A room's job has no participant to give to participant code."""
    other = make_agent("gold", type=JobType.PARTICIPANT)
    (problem,) = problems_of(make_rule("r", {}, agent="gold"), others=(other,))
    assert problem.code == "AH253"


@pytest.mark.parametrize(("mine", "theirs", "owner"), [(False, True, "front"), (True, False, "gold")])
def test_rule_cannot_widen_permissions(mine: bool, theirs: bool, owner: str) -> None:
    """The message names the agent that lacks them."""
    rule = make_rule("r", {}, agent="gold", permissions={"can_publish": True, "hidden": True})
    target = make_agent("gold", permissions=replace(EVERYTHING, can_publish=theirs))
    (problem,) = problems_of(rule, others=(target,), permissions=replace(EVERYTHING, can_publish=mine))
    assert ((*PATH, "rules", 0, "permissions", "can_publish"), "AH252") == (problem.path, problem.code)
    assert f"`{owner}`" in problem.message


def test_names_are_unique() -> None:
    """Logs, tests and samples know a rule by its name."""
    (problem,) = problems_of(make_rule("r", {"room.name": "a"}), make_rule("r", {"room.name": "b"}))
    assert ("AH254", (*PATH, "rules", 0, "name")) == (problem.code, problem.related)


def test_otherwise_is_no_name_for_a_rule() -> None:
    """It is what decides when no rule does."""
    (problem,) = problems_of(make_rule("otherwise", {"room.name": "a"}))
    assert problem.code == "AH254"


def test_agent_and_reject_contradict() -> None:
    """`agent` accepts."""
    (problem,) = problems_of(make_rule("r", {}, Action.REJECT, agent="gold"), others=(make_agent("gold"),))
    assert problem.code == "AH255"


def test_agent_name_placeholder_needs_a_name() -> None:
    """With automatic dispatch it would be empty in every offer."""
    rule = make_rule("r", {}, accept=AcceptTemplate(attributes={"who": "{agent.name}"}))
    (problem,) = problems_of(rule)
    assert (*PATH, "rules", 0, "accept", "attributes", "who") == problem.path
    assert problems_of(rule, agent_name="desk") == []
