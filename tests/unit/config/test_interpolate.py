"""References in values: one scalar in, one scalar out, never structure, never twice."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agenthost.config.collector import Collector
from agenthost.config.interpolate import (
    Sources,
    UnreadableFile,
    hide_references,
    interpolate,
    is_single_reference,
)
from agenthost.config.nodes import Node

ENVIRON = {"NAME": "value", "EMPTY": "", "NESTED": "${NAME}"}


def read_file(path: str) -> str:
    if path == "there":
        return "content"
    raise UnreadableFile("no such file or directory")


def expand(text: str, *, lenient: bool = False, **variables: str) -> tuple[Node, list[str]]:
    findings = Collector("f")
    sources = Sources(variables={**ENVIRON, **variables}, read_file=read_file, lenient=lenient)
    node = interpolate(Node(value=text, text=text), sources, findings)
    return node, [finding.code for finding in findings.findings()]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${NAME}", "value"),
        ("a-${NAME}-b-${NAME}", "a-value-b-value"),
        ("${EMPTY}", ""),
        ("${MISSING:-default}", "default"),
        ("${EMPTY:-default}", "default"),
        ("${MISSING:-}", ""),
        ("${MISSING:-a:b ?}", "a:b ?"),
        ("${NAME:?needed}", "value"),
        ("${file:there}", "content"),
        ("$${NAME}", "${NAME}"),
        ("$NAME and $5 and $", "$NAME and $5 and $"),
        ("${NESTED}", "${NAME}"),
    ],
)
def test_references_become_their_text(text: str, value: str) -> None:
    """Each form does what docker compose's users expect, and what comes out is not looked at again."""
    node, codes = expand(text)
    assert (node.value, codes) == (value, [])


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("${MISSING}", "AH304"),
        ("${MISSING:?set it}", "AH304"),
        ("${EMPTY:?set it}", "AH304"),
        ("${file:gone}", "AH305"),
        ("${NAME", "AH306"),
        ("${}", "AH306"),
        ("${1A}", "AH306"),
        ("${NAME-x}", "AH306"),
        ("${A${NAME}}", "AH306"),
    ],
)
def test_what_cannot_be_expanded_is_a_finding(text: str, code: str) -> None:
    """And its value is unknown, so that nothing else is said about it."""
    node, codes = expand(text)
    assert set(codes) == {code}
    assert node.opaque


def test_every_unset_variable_is_reported_at_once() -> None:
    """Nobody wants to learn about them one start at a time."""
    findings = Collector("f")
    tree = Node(value={"a": Node(value="${A}", path=("a",)), "b": Node(value=(Node(value="${B}", path=("b",)),))})
    interpolate(tree, Sources(variables={}, read_file=read_file), findings)
    assert len(findings.findings()) == 2


def test_lenient_reading_knows_less_but_complains_only_about_form() -> None:
    """`--no-secrets`: what is not here is unknown; what is malformed is still wrong."""
    assert expand("${MISSING:?x}", lenient=True)[1] == []
    assert expand("${MISSING}", lenient=True)[0].opaque
    assert expand("${file:gone}", lenient=True)[0].opaque
    assert expand("${NAME", lenient=True)[1] == ["AH306"]


@given(st.text())
def test_text_without_references_stays_untouched(text: str) -> None:
    """A `$` alone means nothing."""
    if "${" not in text:
        assert expand(text)[0].value == text


@given(st.text())
def test_a_variables_value_lands_unchanged(value: str) -> None:
    """Quotes, newlines, colons, references inside a value: all of it is text."""
    node, codes = expand("${VALUE}", VALUE=value)
    assert (node.value, codes) == (value, [])
    assert node.references == ("VALUE",)


@given(st.text())
def test_interpolation_never_raises(text: str) -> None:
    """Any text gives a value or a finding."""
    node, codes = expand("${" + text)
    assert isinstance(node.value, str)
    assert codes or not node.opaque


def test_a_secret_must_be_one_reference() -> None:
    """A default would be a literal again."""
    assert is_single_reference("${NAME}")
    assert is_single_reference("${NAME:?why}")
    assert is_single_reference("${file:/run/secret}")
    assert not is_single_reference("${NAME:-secret}")
    assert not is_single_reference("x${NAME}")
    assert not is_single_reference("$${NAME}")


def test_hidden_references_are_unknown_values() -> None:
    """A profile that was not chosen is checked, but its variables need not be set."""
    tree = hide_references(
        Node(value={"a": Node(value="${A}"), "b": Node(value="b"), "c": Node(value=(Node(value="${C}"),))})
    )
    assert tree.entries["a"].opaque
    assert tree.entries["c"].items[0].opaque
    assert not tree.entries["b"].opaque
