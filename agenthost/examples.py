"""Runs the examples of `tests:` through the rules: what each came to, and which rules none of them reached.

The same `compile_rules` and `decide` as in the host; a request handler is user code and is not asked. Pure: the
moment for examples without `at` comes in.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, tzinfo

from msgspec import Struct

from agenthost.config.example_checks import receiver_of
from agenthost.config.example_requests import parse_request
from agenthost.config.model import Action, AgentConfig, Config, Expectation, RequestExample, RuleConfig
from agenthost.jobs import Accept, Reject
from agenthost.rules import Decision, Facts, RuleSet, compile_rules, decide


class Mismatch(Struct, frozen=True, kw_only=True):
    """One thing that came out otherwise; `what` is its key in `expect`, both values as text."""

    what: str
    expected: str
    actual: str


class ExampleResult(Struct, frozen=True, kw_only=True):
    """What an example came to. `receiver` is the id of the agent that got the request."""

    example: RequestExample
    receiver: str
    decision: Decision
    mismatches: tuple[Mismatch, ...]

    @property
    def passed(self) -> bool:
        return not self.mismatches


class RuleReach(Struct, frozen=True, kw_only=True):
    """A rule as it stands in the file, with one of the agents that have it, and whether it decided any example."""

    agent: str
    rule: RuleConfig
    reached: bool


class ExamplesReport(Struct, frozen=True, kw_only=True):
    """`results` in the order of the file; `rules` each once, also those that several agents share."""

    results: tuple[ExampleResult, ...]
    rules: tuple[RuleReach, ...]

    @property
    def passed(self) -> bool:
        return all(result.passed for result in self.results)


def run_examples(config: Config, now: datetime) -> ExamplesReport:
    """Decide every example of a valid configuration. `now` is aware, and the moment of those without `at`."""
    agents = {agent.id: agent for agent in config.agents}
    rule_sets = {agent.id: compile_rules(agent, agents) for agent in config.agents}
    results = tuple(_run(example, agents, rule_sets, now, config.timezone) for example in config.examples)
    return ExamplesReport(results=results, rules=_coverage(config.agents, results))


def _run(
    example: RequestExample,
    agents: Mapping[str, AgentConfig],
    rule_sets: Mapping[str, RuleSet],
    now: datetime,
    timezone: tzinfo,
) -> ExampleResult:
    receiver = receiver_of(example, agents)
    moment = _moment(example, now, timezone)
    request, _ = parse_request(example.request, (), receiver, now=moment.timestamp())
    facts = Facts(now=moment, agent_jobs=request.agent_jobs)
    decision = decide(request.offer, rule_sets[receiver.id], facts)
    mismatches = tuple(_compare(example.expect, decision))
    return ExampleResult(example=example, receiver=receiver.id, decision=decision, mismatches=mismatches)


def _moment(example: RequestExample, now: datetime, timezone: tzinfo) -> datetime:
    """`at` without an offset means the file's own timezone."""
    if example.at is None:
        return now.astimezone(timezone)
    moment = datetime.fromisoformat(example.at)
    return moment.replace(tzinfo=timezone) if moment.tzinfo is None else moment.astimezone(timezone)


def _compare(expect: Expectation, decision: Decision) -> Iterator[Mismatch]:
    yield from _differ("action", expect.action and expect.action.value, action_of(decision).value)
    yield from _differ("agent", expect.agent, decision.agent)
    yield from _differ("rule", expect.rule, decision.rule)
    answer = decision.answer
    if isinstance(answer, Reject):
        yield from _differ("reason", expect.reason, answer.reason)
        yield from _compare_appearance(expect, None)
    else:
        yield from _differ("reason", expect.reason, decision.reason)
        yield from _compare_appearance(expect, answer)
    for key, value in expect.permissions.items():
        yield from _differ(f"permissions.{key}", _plain(value), _plain(getattr(decision.permissions, key)))


def action_of(decision: Decision) -> Action:
    """The answer by the name that the file has for it."""
    if isinstance(decision.answer, Accept):
        return Action.ACCEPT
    return Action.TERMINATE if decision.answer.terminate else Action.REJECT


def _compare_appearance(expect: Expectation, accept: Accept | None) -> Iterator[Mismatch]:
    for key in ("identity", "name", "metadata"):
        yield from _differ(key, getattr(expect, key), getattr(accept, key) if accept else None)
    for name, text in (expect.attributes or {}).items():
        yield from _differ(f"attributes.{name}", text, accept.attributes.get(name) if accept else None)


def _differ(what: str, expected: object, actual: object) -> Iterator[Mismatch]:
    if expected is not None and expected != actual:
        yield Mismatch(what=what, expected=_text(expected), actual=_text(actual))


def _text(value: object) -> str:
    if value in (None, ""):
        return "nothing"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plain(value: object) -> object:
    """Lists of sources compare as sets do."""
    return tuple(sorted(value)) if isinstance(value, list | tuple) else value


def _coverage(agents: Sequence[AgentConfig], results: Sequence[ExampleResult]) -> tuple[RuleReach, ...]:
    reached = {(result.receiver, result.decision.rule) for result in results}
    found: dict[object, RuleReach] = {}
    for agent in agents:
        for rule in agent.requests.rules:
            key = rule.place or (agent.id, rule.name)  # a rule among the defaults stands once, and agents share it
            before = found.get(key)
            hit = (agent.id, rule.name) in reached
            if before is None or (hit and not before.reached):
                found[key] = RuleReach(agent=agent.id, rule=rule, reached=hit)
    return tuple(found.values())
