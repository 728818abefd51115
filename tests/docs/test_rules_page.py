"""docs/rules.md names every path and operator, and each row of its table of matchers is true."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from agenthost.config.conditions import GROUPS, parse_condition
from agenthost.config.example_requests import parse_request
from agenthost.config.matcher_parsing import OPERATORS
from agenthost.config.subjects import CHOICES, KINDS, SubjectKind
from agenthost.jobs import JobType
from agenthost.matching import Compiler
from agenthost.offer_values import MAX_TEXT, Values
from tests.support.values import MONDAY_NOON, make_agent, make_facts

PAGE = (Path(__file__).parents[2] / "docs" / "rules.md").read_text()
MATCHERS = re.findall(r"^\| `([^`]+: [^`]+)` \| `([^`]+)` \| `([^`]+)` \|$", PAGE, re.MULTILINE)


def holds(when: dict[str, Any], request: dict[str, Any]) -> bool:
    condition, problems = parse_condition(when, (), JobType.ROOM)
    assert problems == []
    example, problems = parse_request(request, (), make_agent(), now=MONDAY_NOON.timestamp())
    assert problems == []
    compiler = Compiler("front")
    predicate = compiler.compile(condition, "rule")
    facts = make_facts(agent_jobs=example.agent_jobs)
    return predicate(Values(example.offer, facts, compiler.subjects, compiler.regex_sets()))


@pytest.mark.parametrize(("matcher", "yes", "no"), MATCHERS)
def test_row_of_matchers_is_true(matcher: str, yes: str, no: str) -> None:
    """The condition holds for the one request and not for the other."""
    when, first, second = (yaml.safe_load(cell) for cell in (matcher, yes, no))
    assert holds(when, first)
    assert not holds(when, second)


def test_every_path_is_on_the_page() -> None:
    """As people write it."""
    paths = {f"{root}.NAME" if kind is SubjectKind.ATTRIBUTE else root for root, kind in KINDS.items()}
    assert {path for path in paths if f"`{path}`" not in PAGE} == set()


def test_every_word_of_the_language_is_on_the_page() -> None:
    """Operators and groups are used in a row or an example, kinds of participants are listed."""
    assert len(MATCHERS) > 10
    words = (*OPERATORS, *GROUPS)
    assert {word for word in words if f"{word}:" not in PAGE and f"`{word}`" not in PAGE} == set()
    assert {kind for kind in CHOICES["participant.kind"] if f"`{kind}`" not in PAGE} == set()
    assert f"{MAX_TEXT} characters" in PAGE
