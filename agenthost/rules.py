"""Rules: the answer to an offer, decided and explained. Pure: time and load come in as `Facts`. Runs in the host.

`compile_rules` once per plan, `decide` per offer. The first rule whose condition holds decides; `otherwise` does when
none holds. A decision picks code (`agent`), never the registration that answers.
"""

from collections.abc import Mapping

from msgspec import Struct

from agenthost.accepting import AcceptPlan, EmptyPlaceholder, plan_accept, render_accept
from agenthost.config.conditions import ALWAYS, Condition
from agenthost.config.model import Action, AgentConfig, Permissions, Place, RuleConfig
from agenthost.config.permissions import narrow, restrict
from agenthost.config.regexes import RegexSet
from agenthost.config.subjects import Subject
from agenthost.jobs import MAX_TOKEN_BYTES, Accept, Offer, Reject
from agenthost.matching import Compiler, Predicate
from agenthost.offer_values import Facts, Values
from agenthost.values import Alike

__all__ = ["OTHERWISE", "Decision", "Facts", "RuleSet", "compile_rules", "decide"]

OTHERWISE = "otherwise"
"""What a decision calls its rule when no rule's condition held."""


class Decision(Struct, frozen=True, kw_only=True):
    """The answer and why. `agent` is the id whose code runs (the receiver's own for a reject).

    `rule` is the deciding rule's name, or `OTHERWISE`; `place` is where it stands; `reason` is for the log: it holds
    names from the file and nothing from the offer.
    """

    answer: Accept | Reject
    agent: str
    permissions: Permissions
    rule: str
    place: Place | None
    reason: str


class _Rule(Alike, frozen=True, kw_only=True):
    """One rule, ready to act. `holds` is `when`, compiled. `reject` is None for a rule that accepts."""

    not_shown = not_compared = frozenset({"holds"})

    name: str
    place: Place | None
    when: Condition
    holds: Predicate
    reject: Reject | None
    agent: str
    permissions: Permissions
    accept: AcceptPlan


class RuleSet(Alike, frozen=True, kw_only=True):
    """The compiled rules of one receiving agent, the last of them being `otherwise`, which always holds.

    Two are equal when they decide alike and say so in the same words: a reload compares them.
    """

    not_shown = not_compared = frozenset({"regex_sets"})

    agent: str
    rules: tuple[_Rule, ...]
    subjects: tuple[Subject, ...]
    regex_sets: Mapping[int, RegexSet]


def compile_rules(receiver: AgentConfig, agents: Mapping[str, AgentConfig]) -> RuleSet:
    """The rules of `receiver` ready to decide; `agents` are all of the file, by id, for `agent: ID` to name one.

    The configuration is taken as checked: a rule that names an agent not in `agents` is a `KeyError`.
    """
    compiler = Compiler(receiver.id)
    otherwise = RuleConfig(name=OTHERWISE, when=ALWAYS, action=receiver.requests.otherwise)
    rules = tuple(_compile_rule(rule, receiver, agents, compiler) for rule in (*receiver.requests.rules, otherwise))
    return RuleSet(agent=receiver.id, rules=rules, subjects=compiler.subjects, regex_sets=compiler.regex_sets())


def decide(offer: Offer, rules: RuleSet, facts: Facts) -> Decision:
    """The answer to `offer`. Total: every offer gets one, and none of them raises."""
    values = Values(offer, facts, rules.subjects, rules.regex_sets)
    rule = next(rule for rule in rules.rules if rule.holds(values))
    answer, reason = _answer(rule, values)
    return Decision(
        answer=answer,
        agent=rule.agent,
        permissions=rule.permissions,
        rule=rule.name,
        place=rule.place,
        reason=reason,
    )


def _compile_rule(
    rule: RuleConfig, receiver: AgentConfig, agents: Mapping[str, AgentConfig], compiler: Compiler
) -> _Rule:
    target = receiver if rule.agent is None else agents[rule.agent]
    return _Rule(
        name=rule.name,
        place=rule.place,
        when=rule.when,
        holds=compiler.compile(rule.when, rule.name),
        reject=_reject(rule),
        agent=target.id,
        permissions=narrow(restrict(receiver.permissions, target.permissions), rule.permissions),
        accept=plan_accept((rule.accept, receiver.requests.accept), receiver=receiver, target=target),
    )


def _reject(rule: RuleConfig) -> Reject | None:
    if rule.agent is not None or rule.action is Action.ACCEPT:
        return None
    reason = OTHERWISE if rule.name == OTHERWISE else "rule"
    return Reject(reason=reason, terminate=rule.action is Action.TERMINATE)


def _answer(rule: _Rule, values: Values) -> tuple[Accept | Reject, str]:
    reason = "no rule holds" if rule.name == OTHERWISE else f"rule `{rule.name}` holds"
    if rule.reject is not None:
        return rule.reject, reason
    try:
        accept = render_accept(rule.accept, values)
    except EmptyPlaceholder as empty:
        reason = f"{reason}, but {empty}"
        return Reject(reason="empty placeholder", detail=reason), reason
    if accept.token_bytes > MAX_TOKEN_BYTES:
        reason = (
            f"{reason}, but nobody can join with {accept.token_bytes} bytes of `accept` ({MAX_TOKEN_BYTES} at most)"
        )
        return Reject(reason="accept too long", detail=reason), reason
    return accept, reason
