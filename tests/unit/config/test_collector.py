"""Collecting findings: one per cause, sorted, and nothing that may be a secret."""

from agenthost.config.collector import Collector, rename, rewrite
from agenthost.config.findings import Fix, Severity
from agenthost.config.nodes import Node, Origin, OriginKind, Span

PLACE = Span(line=3, column=5, end_column=9)
NODE = Node(value="text", text="text", span=PLACE, key=Span(line=3, column=1, end_column=4), path=("a", 0, "b"))


def test_findings_are_sorted_by_place() -> None:
    """Whatever the order in which they were found."""
    findings = Collector("f")
    findings.report("AH2", "second", Span(line=2, column=1, end_column=2))
    findings.report("AH1", "first", Span(line=1, column=9, end_column=10))
    assert [finding.message for finding in findings.findings()] == ["first", "second"]


def test_the_same_thing_about_the_same_place_is_said_once() -> None:
    """Anchors and defaults of all agents are read many times."""
    findings = Collector("f")
    for _ in range(3):
        findings.about("AH1", "wrong", NODE)
    assert len(findings.findings()) == 1


def test_a_finding_points_at_the_value_or_at_the_key() -> None:
    """With the path as people write it."""
    findings = Collector("f")
    findings.about("AH1", "value", NODE)
    findings.about("AH2", "key", NODE, at_key=True)
    assert [(finding.column, finding.path) for finding in findings.findings()] == [(1, "a[0].b"), (5, "a[0].b")]


def test_warnings_are_no_errors() -> None:
    """They do not stop anything."""
    findings = Collector("f")
    findings.warn("AH1", "odd", NODE)
    assert not findings.has_errors()
    assert findings.findings()[0].severity is Severity.WARNING
    findings.about("AH2", "wrong", NODE)
    assert findings.has_errors()


def test_opaque_values_are_not_judged_but_their_keys_are() -> None:
    """What a variable holds elsewhere is not known here."""
    findings = Collector("f")
    opaque = Node(value="", span=PLACE, key=NODE.key, opaque=True)
    findings.about("AH1", "value", opaque)
    findings.about("AH2", "key", opaque, at_key=True)
    assert [finding.code for finding in findings.findings()] == ["AH2"]


def test_what_interpolation_brought_in_is_not_quoted() -> None:
    """Neither in backticks nor bare."""
    findings = Collector("f")
    node = Node(value="canary", text="${A}", span=PLACE, references=("A",))
    findings.about("AH1", "there is no `canary`", node, hint="did you mean canary2?")
    findings.about("AH2", "there is no `text`", NODE)
    first, second = findings.findings()
    assert (first.message, first.hint) == ("there is no this value", "did you mean …2?")
    assert second.message == "there is no `text`"


def test_values_of_the_command_line_have_no_place_and_no_fix() -> None:
    """They are named by what was typed."""
    findings = Collector("f")
    node = Node(value=1, text="1", origin=Origin(kind=OriginKind.OPTION, name="--set a"))
    findings.about("AH1", "wrong", node, fix=Fix(line=1, column=1, end_column=2, text="x"))
    (finding,) = findings.findings()
    assert (finding.file, finding.line, finding.fix) == ("--set a", 0, None)


def test_fixes_cover_exactly_the_key_or_the_value() -> None:
    """A value over several lines has none: its place is its first line only."""
    assert rename(NODE, "c") == Fix(line=3, column=1, end_column=4, text="c")
    assert rewrite(NODE, "7") == Fix(line=3, column=5, end_column=9, text="7")
    assert rewrite(Node(value="a\nb", text="a\nb", span=PLACE), "7") is None
    assert rename(Node(value=1), "c") is rewrite(Node(value=1), "c") is None
