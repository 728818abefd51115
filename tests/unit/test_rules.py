"""Decisions: which rule decides, whose code runs, with which permissions, under which name."""

import pytest
from hypothesis import given, settings
from msgspec.structs import replace

from agenthost.config.model import AcceptTemplate, Action, AgentConfig, Place, RuleConfig
from agenthost.jobs import Accept, JobType, Offer, Reject
from agenthost.rules import OTHERWISE, Decision, Facts, RuleSet, compile_rules, decide
from tests.bench import rules_bench
from tests.support import rule_strategies as strategies
from tests.support.values import EVERYTHING, make_agent, make_facts, make_offer, make_requests, make_rule


def decision(offer: Offer, *agents: AgentConfig) -> Decision:
    """What the first of `agents` decides."""
    return decide(offer, compile_rules(agents[0], {agent.id: agent for agent in agents}), make_facts())


def test_no_rules_accept_under_the_default_identity() -> None:
    """An agent without rules joins every room, each job under a name of its own."""
    expected = Decision(
        answer=Accept(identity="agent-AJ_1"),
        agent="front",
        permissions=EVERYTHING,
        rule=OTHERWISE,
        place=None,
        reason="no rule holds",
    )
    assert expected == decision(make_offer(), make_agent())


def test_first_rule_that_holds_decides() -> None:
    """Order is the only precedence there is."""
    place = Place(file="agenthost.yaml", line=7, column=9)
    requests = make_requests(
        make_rule("recordings", {"room.name": "rec-*"}, Action.TERMINATE),
        make_rule("all r", {"room.name": "r*"}, Action.REJECT, place=place),
        make_rule("rooms", {"room.name": "room*"}),
        otherwise=Action.REJECT,
    )
    agent = make_agent(requests=requests)
    names = [decision(make_offer(room), agent).rule for room in ("rec-1", "room", "lobby")]
    assert names == ["recordings", "all r", OTHERWISE]
    assert decision(make_offer("room"), agent).place == place


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (Action.REJECT, Reject(reason="rule")),
        (Action.TERMINATE, Reject(reason="rule", terminate=True)),
        (Action.ACCEPT, Accept(identity="agent-AJ_1")),
    ],
)
def test_action_of_a_rule_is_the_answer(action: Action, expected: Accept | Reject) -> None:
    """`reject` leaves the room to another worker, `terminate` to nobody."""
    agent = make_agent(requests=make_requests(make_rule("all", {}, action)))
    found = decision(make_offer(), agent)
    assert (expected, "rule `all` holds") == (found.answer, found.reason)


def test_otherwise_can_reject() -> None:
    """What no rule wants goes back to the server."""
    agent = make_agent(requests=make_requests(otherwise=Action.REJECT))
    assert decision(make_offer(), agent).answer == Reject(reason=OTHERWISE)


def test_rule_with_agent_accepts_and_picks_its_code() -> None:
    """Routing: the receiver answers, the target's code runs."""
    requests = make_requests(make_rule("vip", {"room.name": "vip"}, agent="gold"), otherwise=Action.REJECT)
    found = decision(make_offer("vip"), make_agent(requests=requests), make_agent("gold"))
    assert (found.agent, type(found.answer)) == ("gold", Accept)


def test_permissions_are_what_receiver_target_and_rule_all_allow() -> None:
    """Each of the three can take away; none can give back, and for `hidden` one true suffices."""
    rule = make_rule("r", {}, agent="gold", permissions={"can_update_metadata": False, "can_publish": True})
    receiver = make_agent(requests=make_requests(rule), permissions=replace(EVERYTHING, can_publish=False))
    target = make_agent("gold", permissions=replace(EVERYTHING, hidden=True, can_publish_sources=("microphone",)))
    expected = replace(
        EVERYTHING, can_publish=False, can_update_metadata=False, hidden=True, can_publish_sources=("microphone",)
    )
    assert expected == decision(make_offer(), receiver, target).permissions


def test_accept_comes_key_by_key_from_rule_then_agent() -> None:
    """What the rule does not say, `requests.accept` says; attributes too are taken one by one."""
    general = AcceptTemplate(identity="bot-{room.name}", name="Support", attributes={"tier": "none", "site": "eu"})
    rule = make_rule("r", {}, accept=AcceptTemplate(name="Gold {agent.id}", attributes={"tier": "gold"}))
    agent = make_agent(requests=make_requests(rule, accept=general))
    expected = Accept(identity="bot-lobby", name="Gold front", attributes={"tier": "gold", "site": "eu"})
    assert expected == decision(make_offer(), agent).answer


def test_empty_placeholder_rejects_and_names_it() -> None:
    """A job that would join under half a name is left to another worker; the log says why, without the offer's data."""
    general = AcceptTemplate(name="{job.metadata.customer}")
    found = decision(make_offer(metadata='{"secret": 1}'), make_agent(requests=make_requests(accept=general)))
    assert isinstance(found.answer, Reject)
    assert (found.answer.reason, found.answer.terminate) == ("empty placeholder", False)
    assert found.reason == "no rule holds, but {job.metadata.customer} is empty"


def test_half_an_emoji_is_replaced_and_named() -> None:
    """What JavaScript leaves of a text that it has cut; the call is taken."""
    general = AcceptTemplate(name="{job.metadata.name}", attributes={"who": "{job.metadata.name}"})
    offer = make_offer(metadata='{"name": "Ann \\ud83d"}')
    expected = Accept(
        identity="agent-AJ_1", name="Ann \ufffd", attributes={"who": "Ann \ufffd"}, mended=("name", "attributes.who")
    )
    assert decision(offer, make_agent(requests=make_requests(accept=general))).answer == expected


def test_texts_that_no_join_can_carry_are_a_reject() -> None:
    """The server would assign the job, and then not read the token."""
    general = AcceptTemplate(metadata="{job.metadata}")
    found = decision(make_offer(metadata='"' * 512 * 1024), make_agent(requests=make_requests(accept=general)))
    assert isinstance(found.answer, Reject)
    assert (found.answer.reason, found.answer.terminate) == ("accept too long", False)


def test_rule_sets_of_one_text_are_equal_and_of_another_are_not() -> None:
    """A reload sees by it whether rules have changed."""

    def compiled(room: str) -> RuleSet:
        agent = make_agent(requests=make_requests(make_rule("r", {"room.name": [room, "/x/"], "sample": "10%"})))
        return compile_rules(agent, {agent.id: agent})

    assert compiled("a") == compiled("a")
    assert compiled("a") != compiled("b")


def test_rule_that_names_no_agent_of_the_file_does_not_compile() -> None:
    """The configuration's checks come first; what slips through is loud."""
    with pytest.raises(KeyError, match="ghost"):
        compile_rules(make_agent(requests=make_requests(make_rule("r", {}, agent="ghost"))), {})


ACCEPT = AcceptTemplate(name="{job.metadata.tier}", metadata="{participant.kind}", attributes={"a": "{room.name}"})


def make_receiver(rules: tuple[RuleConfig, ...]) -> AgentConfig:
    return make_agent(type=JobType.PARTICIPANT, requests=make_requests(*rules, accept=ACCEPT))


@given(strategies.rules(), strategies.offers(), strategies.facts)
@settings(max_examples=100)
def test_every_offer_is_decided_and_always_alike(rules: tuple[RuleConfig, ...], offer: Offer, facts: Facts) -> None:
    """`decide` is total and deterministic, also across two compilations (two hosts of one file)."""
    agent = make_receiver(rules)
    first, second = (compile_rules(agent, {agent.id: agent}) for _ in range(2))
    found = decide(offer, first, facts)
    assert found == decide(offer, first, facts) == decide(offer, second, facts)
    assert found.rule in {OTHERWISE, *(rule.name for rule in rules)}


@given(strategies.rules(), strategies.rules(), strategies.offers(), strategies.facts)
@settings(max_examples=60)
def test_rules_after_the_deciding_one_do_not_matter(
    rules: tuple[RuleConfig, ...], more: tuple[RuleConfig, ...], offer: Offer, facts: Facts
) -> None:
    """Cut off everything behind the rule that decided, put anything there: the decision stays."""
    agent = make_receiver(rules)
    found = decide(offer, compile_rules(agent, {agent.id: agent}), facts)
    names = [rule.name for rule in rules]
    kept = rules[: names.index(found.rule) + 1] if found.rule in names else rules
    tail = tuple(replace(rule, name=f"more {rule.name}") for rule in more) if found.rule in names else ()
    other = make_receiver(kept + tail)
    assert found == decide(offer, compile_rules(other, {other.id: other}), facts)


@pytest.mark.quiet
@pytest.mark.parametrize("kind", ["mix", "list"])
def test_a_hundred_rules_are_decided_in_microseconds(kind: str) -> None:
    """The median is to be 50 µs (tests/bench/rules_bench.py measures it); this bound holds on a busy machine too."""
    assert rules_bench.measure(rules_bench.make_rules(kind), decisions=200).p50 < 250
