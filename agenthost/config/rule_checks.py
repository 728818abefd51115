"""What is wrong with the rules of one agent although each is well written: names, targets, order, permissions.

Needs all agents, built; so it runs last. Pure.
"""

import bisect
import difflib
from collections.abc import Iterator, Mapping

from agenthost.config.accept_templates import Placeholder, split_template
from agenthost.config.findings import Severity
from agenthost.config.implication import implies, size
from agenthost.config.model import Action, AgentConfig, RuleConfig
from agenthost.config.nodes import Keys
from agenthost.config.permissions import restrict, widened
from agenthost.config.problems import Problem

RESERVED_NAME = "otherwise"
MAX_COMPARISONS = 20_000
"""So many pairs of rules are compared at most (about 0.1 s): with 200 rules and more, each with the broadest before."""
FEWEST_COMPARED = 10


def check_rules(receiver: AgentConfig, agents: Mapping[str, AgentConfig], path: Keys) -> list[Problem]:
    """Problems of the rules of `receiver`, whose `requests` stand at `path`; `agents` are all, by id."""
    problems = [*_check_names(receiver, path), *_check_agent_name(receiver, path), *_check_order(receiver, path)]
    for index, rule in enumerate(receiver.requests.rules):
        problems += _check_target(rule, receiver, agents, (*path, "rules", index))
    return problems


def _check_names(receiver: AgentConfig, path: Keys) -> Iterator[Problem]:
    """Logs, tests and `sample` know a rule by its name."""
    first: dict[str, int] = {}
    for index, rule in enumerate(receiver.requests.rules):
        place = (*path, "rules", index, "name")
        if rule.name == RESERVED_NAME:
            message = f"no rule can be called `{RESERVED_NAME}`: that is what decides when none holds"
            yield Problem(path=place, code="AH254", message=message, hint="choose another name")
        elif rule.name in first:
            yield Problem(
                path=place,
                code="AH254",
                message=f"rule `{rule.name}` is defined twice",
                hint="and again here",
                related=(*path, "rules", first[rule.name], "name"),
                related_message="first here",
            )
        else:
            first[rule.name] = index


def _check_order(receiver: AgentConfig, path: Keys) -> Iterator[Problem]:
    rules = receiver.requests.rules
    compared = max(FEWEST_COMPARED, MAX_COMPARISONS // max(len(rules), 1))
    broadest: list[tuple[int, int]] = []  # earlier rules as (size of the condition, index), the broadest first
    for index, rule in enumerate(rules):
        candidates = sorted(earlier for _, earlier in broadest[:compared])
        earlier = next((earlier for earlier in candidates if implies(rule.when, rules[earlier].when)), None)
        if earlier is not None:
            yield Problem(
                path=(*path, "rules", index),
                code="AH250",
                message=f"rule `{rule.name}` never decides: `{rules[earlier].name}` matches all that it does",
                hint="move it up, or take it out",
                severity=Severity.WARNING,
                related=(*path, "rules", earlier),
                related_message="this one decides first",
            )
        bisect.insort(broadest, (size(rule.when), index))


def _check_agent_name(receiver: AgentConfig, path: Keys) -> Iterator[Problem]:
    if receiver.agent_name:
        return
    accepts = [((*path, "accept"), receiver.requests.accept)]
    accepts += [((*path, "rules", index, "accept"), rule.accept) for index, rule in enumerate(receiver.requests.rules)]
    for place, accept in accepts:
        texts = {"identity": accept.identity, "name": accept.name, "metadata": accept.metadata}
        places = [((*place, key), text) for key, text in texts.items() if text is not None]
        places += [((*place, "attributes", key), text) for key, text in accept.attributes.items()]
        for where, text in places:
            if Placeholder(name="agent.name", subject=None) in split_template(text):
                message = "`{agent.name}` is always empty here: the agent has automatic dispatch, and no `agent_name`"
                yield Problem(path=where, code="AH240", message=message, hint="write `{agent.id}`")


def _check_target(
    rule: RuleConfig, receiver: AgentConfig, agents: Mapping[str, AgentConfig], path: Keys
) -> Iterator[Problem]:
    if rule.agent is not None and rule.action is not Action.ACCEPT:
        message = f"`agent: {rule.agent}` accepts, and `action: {rule.action.value}` does not"
        yield Problem(path=(*path, "action"), code="AH255", message=message, hint="keep one of the two")
    target = receiver if rule.agent is None else agents.get(rule.agent)
    if target is None:
        yield _unknown_agent(str(rule.agent), agents, path)
        return
    if target.type is not receiver.type:
        message = f"agent `{target.id}` is of `type: {target.type.value}`, this one of `type: {receiver.type.value}`"
        yield Problem(path=(*path, "agent"), code="AH253", message=message, hint="a rule can only name one of its type")
        return
    if rule.agent is not None and target.entrypoint is None:
        message = f"agent `{target.id}` has no `entrypoint` to run"
        yield Problem(path=(*path, "agent"), code="AH251", message=message, hint="give it one, or name another agent")
    for key in widened(restrict(receiver.permissions, target.permissions), rule.permissions):
        owner = receiver.id if key in widened(receiver.permissions, rule.permissions) else target.id
        message = f"a rule can only narrow permissions, and `{owner}` has not got this much of `{key}`"
        yield Problem(
            path=(*path, "permissions", key), code="AH252", message=message, hint="drop it, or widen it there"
        )


def _unknown_agent(name: str, agents: Mapping[str, AgentConfig], path: Keys) -> Problem:
    near = difflib.get_close_matches(name, agents, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"the file has {', '.join(f'`{agent}`' for agent in agents)}"
    return Problem(
        path=(*path, "agent"),
        code="AH251",
        message=f"there is no agent `{name}`",
        hint=hint,
        fix=near[0] if near else None,
    )
