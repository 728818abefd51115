"""What is wrong with an entry of `tests:` before it runs: its request, and names that do not exist. Pure."""

import difflib
from collections.abc import Iterator, Mapping, Sequence

from agenthost.config.example_requests import parse_request
from agenthost.config.model import AgentConfig, RequestExample
from agenthost.config.nodes import Keys
from agenthost.config.problems import Problem
from agenthost.config.rule_checks import RESERVED_NAME


def receiver_of(example: RequestExample, agents: Mapping[str, AgentConfig]) -> AgentConfig:
    """The agent that gets the example's request: the one it names, else the only one."""
    return agents[example.agent] if example.agent is not None else next(iter(agents.values()))


def check_example(example: RequestExample, agents: Mapping[str, AgentConfig], path: Keys) -> list[Problem]:
    """Problems of the example at `path`, whose own agent exists."""
    receiver = receiver_of(example, agents)
    problems = parse_request(example.request, (*path, "request"), receiver, now=0.0)[1]
    return [*problems, *_check_expectation(example, receiver, agents, (*path, "expect"))]


def _check_expectation(
    example: RequestExample, receiver: AgentConfig, agents: Mapping[str, AgentConfig], path: Keys
) -> Iterator[Problem]:
    expect = example.expect
    if expect.agent is not None and expect.agent not in agents:
        yield _unknown(f"there is no agent `{expect.agent}`", expect.agent, list(agents), (*path, "agent"))
    rules = [*(rule.name for rule in receiver.requests.rules), RESERVED_NAME]
    all_known = "" not in rules  # a name that is taken from a variable may not be known on this machine
    if expect.rule is not None and expect.rule not in rules and all_known:
        message = f"agent `{receiver.id}` has no rule `{expect.rule}`"
        yield _unknown(message, expect.rule, rules, (*path, "rule"))


def _unknown(message: str, written: str, known: Sequence[str], path: Keys) -> Problem:
    near = difflib.get_close_matches(written, known, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"known are {', '.join(f'`{name}`' for name in known)}"
    return Problem(path=path, code="AH225", message=message, hint=hint, fix=near[0] if near else None)
