"""Random rules, offers and facts for property tests, drawn from few values so that they often meet."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from hypothesis import strategies as st

from agenthost.config.model import Action, RuleConfig
from agenthost.jobs import JobType, Offer, ParticipantInfo, RoomInfo
from agenthost.offer_values import Facts
from tests.support.values import make_rule

_names = st.sampled_from(["", "a", "ab", "abc", "support-1", "support-2", "vip-7", "rec-x", "*", "ü", "a\nb"])
_tiers = ['"gold"', "7", "true", "null", '{"a": 1}', '"\\ud800"', "1e999", "NaN", "9" * 5000]
_documents = st.sampled_from(["", "{}", "no json", '"gold"', "[" * 5_000, *(f'{{"tier": {tier}}}' for tier in _tiers)])
_attributes = st.dictionaries(st.sampled_from(["tier", "sip.x"]), _names, max_size=2)

_text_scalars = st.sampled_from(["a", "ab", "a*", "*", "*b", "a?c", "support-*", "s*-1", "vip-[0-9]", "/^vip/", "/b$/"])
_numbers = st.integers(0, 4)
_json_scalars = st.one_of(_text_scalars, st.sampled_from(["gold", "1..7", 7, 7.0, 1, True, False]))
_bounds = st.fixed_dictionaries({}, optional={"ge": st.integers(0, 2), "le": st.integers(2, 4)}).filter(bool)


def _matchers(scalars: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Scalars, lists of them, `not` of them, and `exists`."""
    single = st.one_of(scalars, st.builds(lambda wanted: {"exists": wanted}, st.booleans()))
    several = st.lists(single, min_size=1, max_size=3)
    return st.one_of(single, several, st.builds(lambda inner: {"not": inner}, st.one_of(single, several)))


_entries = st.fixed_dictionaries(
    {},
    optional={
        "room.name": _matchers(_text_scalars),
        "room.metadata": _matchers(_text_scalars),
        "job.attributes.tier": _matchers(_text_scalars),
        "job.metadata.tier": _matchers(_json_scalars),
        "participant.identity": _matchers(_text_scalars),
        "participant.kind": _matchers(st.sampled_from(["sip", "standard", "s*"])),
        "room.num_participants": st.one_of(_matchers(_numbers), _bounds),
        "room.age": st.sampled_from([{"gt": "5m"}, {"lt": "1h"}, "1m..10m", {"exists": False}]),
        "agent.jobs": st.one_of(_matchers(_numbers), _bounds),
        "time.hour": st.sampled_from([8, "8..18", "22..6", {"ge": 12}]),
        "time.weekday": st.sampled_from(["mon", "mon..fri", "sat..mon", ["tue", "wed"]]),
        "time.date": st.sampled_from(["2026-03-02", "2026-*", "2026-01-01..2026-06-30", {"ge": "2026-03-01"}]),
        "sample": st.sampled_from(["0%", "50%", "100%"]),
    },
)


def _groups(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    lists = st.lists(inner, min_size=1, max_size=2)
    groups = st.fixed_dictionaries({}, optional={"any": lists, "all": lists, "not": inner})
    return st.builds(lambda entries, group: entries | group, _entries, groups)


conditions = st.recursive(_entries, _groups, max_leaves=4)
"""The data of a `when`, always without problems for `type: participant`."""


@st.composite
def related_conditions(draw: st.DrawFn) -> tuple[dict[str, Any], dict[str, Any]]:
    """Two small conditions about one subject, so that one often follows from the other."""
    path = draw(st.sampled_from(["room.name", "job.metadata.tier", "agent.jobs", "sample"]))
    matchers = {
        "room.name": _matchers(_text_scalars),
        "job.metadata.tier": _matchers(_json_scalars),
        "agent.jobs": st.one_of(_matchers(_numbers), _bounds),
        "sample": st.sampled_from(["0%", "50%", "60%", "100%"]),
    }[path]
    first, second = {path: draw(matchers)}, {path: draw(matchers)}
    wrap = draw(st.sampled_from(["", "not", "any"]))
    if wrap == "not":
        return {"not": first}, {"not": second}
    if wrap == "any":
        return {"any": [first, second]}, {"any": [second, {path: draw(matchers)}]}
    return first, second


@st.composite
def rules(draw: st.DrawFn, max_size: int = 3) -> tuple[RuleConfig, ...]:
    """Rules with names of their own."""
    drawn = draw(st.lists(st.tuples(conditions, st.sampled_from(Action)), max_size=max_size))
    return tuple(
        make_rule(f"rule {number}", when, action, type=JobType.PARTICIPANT)
        for number, (when, action) in enumerate(drawn)
    )


@st.composite
def offers(draw: st.DrawFn) -> Offer:
    """Offers, odd ones among them: without participant, without room name, with metadata that is no JSON."""
    participant = ParticipantInfo(
        identity=draw(_names),
        name=draw(_names),
        kind=draw(st.sampled_from(["standard", "sip"])),
        metadata=draw(_documents),
        attributes=draw(_attributes),
    )
    room = RoomInfo(
        name=draw(_names),
        metadata=draw(_documents),
        num_participants=draw(st.integers(0, 5)),
        created_at=draw(st.sampled_from([0.0, 1_772_000_000.0, 9_000_000_000.0])),
    )
    return Offer(
        job_id=draw(st.sampled_from(["", "AJ_1"])),
        type=draw(st.sampled_from(JobType)),
        room=room,
        participant=draw(st.sampled_from([participant, None])),
        metadata=draw(_documents),
        attributes=draw(_attributes),
    )


facts = st.builds(
    Facts,
    now=st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)).flatmap(
        lambda naive: st.sampled_from([naive.replace(tzinfo=zone) for zone in (UTC, timezone(timedelta(hours=-9)))])
    ),
    agent_jobs=st.integers(0, 5),
)
