"""Values of one offer, read at most once."""

import pytest

from agenthost.config.regexes import RegexSet
from agenthost.config.subjects import KINDS, Subject, SubjectKind, find_subject
from agenthost.offer_values import Values, parse_json
from tests.support.values import make_facts, make_offer, make_participant_offer


def subject(text: str) -> Subject:
    found = find_subject(text)
    assert found is not None
    return found


@pytest.mark.parametrize("root", [root for root, kind in KINDS.items() if kind is not SubjectKind.SAMPLE])
def test_every_subject_can_be_read_from_every_offer(root: str) -> None:
    """No path of the language is without a reader, with a participant or without."""
    name = f"{root}.x" if KINDS[root] is SubjectKind.ATTRIBUTE else root
    for offer in (make_offer(), make_participant_offer()):
        Values(offer, make_facts()).read(subject(name))


def test_metadata_is_parsed_once_for_all_paths() -> None:
    """A hundred rules on one metadata cost one parse: what they see is one and the same object."""
    values = Values(make_offer(metadata='{"a": {"b": {}}}'), make_facts())
    outer = values.read(subject("job.metadata.a"))
    assert isinstance(outer, dict)
    assert outer["b"] is values.read(subject("job.metadata.a.b"))


@pytest.mark.parametrize(
    ("text", "expected"), [("", None), ("{", None), ("NaN", None), ("[" * 100_000, None), ('{"a": 1}', {"a": 1})]
)
def test_json_that_is_broken_is_nothing(text: str, expected: object) -> None:
    """Neither depth nor odd constants get an error out of an offer."""
    assert expected == parse_json(text)


def test_regexes_see_only_text() -> None:
    """A number inside metadata is not its digits."""
    values = Values(make_offer(metadata='{"a": 7}'), make_facts(), (subject("job.metadata.a"),), {0: RegexSet(["7"])})
    assert values.regex_hits(0) == frozenset()
