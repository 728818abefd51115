"""Texts of `accept`, rendered for one offer."""

import pytest

from agenthost.accepting import EmptyPlaceholder, plan_accept, render_accept
from agenthost.config.model import AcceptTemplate
from agenthost.jobs import Offer, RoomInfo
from agenthost.offer_values import Values
from tests.support.values import make_agent, make_facts, make_offer, make_participant_offer


def rendered(text: str, offer: Offer) -> str:
    plan = plan_accept(
        [AcceptTemplate(metadata=text)], receiver=make_agent("front", agent_name="desk"), target=make_agent("gold")
    )
    return render_accept(plan, Values(offer, make_facts())).metadata


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("plain", "plain"),
        ("{job.id}/{job.type}/{room.name}", "AJ_1/participant/lobby"),
        ("{ job.id }", "AJ_1"),
        ("{agent.id} {agent.name}", "gold desk"),
        ("{participant.identity}", "caller"),
        ("{participant.attributes.sip.trunk}", "t-1"),
        ("{room.num_participants}", "3"),
        ("{job.metadata.n} {job.metadata.ok} {job.metadata.list}", '7 true [1,{"ä":2}]'),
        ('{"id": "{job.id}", "n": {}}', '{"id": "AJ_1", "n": {}}'),
    ],
)
def test_placeholder_is_filled(text: str, expected: str) -> None:
    """Values come from the offer as text, containers as JSON; other braces stay."""
    offer = make_participant_offer(
        attributes={"sip.trunk": "t-1"},
        metadata='{"n": 7, "ok": true, "list": [1, {"ä": 2}]}',
        room=RoomInfo(name="lobby", num_participants=3),
    )
    assert expected == rendered(text, offer)


def test_long_values_are_not_cut() -> None:
    """Only matchers see a text cut off."""
    metadata = "x" * 10_000
    assert metadata == rendered("{job.metadata}", make_offer(metadata=metadata))


@pytest.mark.parametrize("name", ["job.metadata", "job.metadata.tier", "room.sid", "job.attributes.x"])
def test_empty_placeholder_is_refused(name: str) -> None:
    """A name with a hole in it is no name."""
    with pytest.raises(EmptyPlaceholder) as caught:
        rendered(f"a {{{name}}}", make_offer(attributes={"x": ""}))
    assert caught.value.name == name


def test_zero_is_not_empty() -> None:
    """A room with nobody in it has 0 participants."""
    assert rendered("{room.num_participants}", make_offer()) == "0"
