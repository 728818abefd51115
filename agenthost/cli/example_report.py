"""The results of `agenthost test` as people and machines read them: text, JSON, JUnit XML. Pure."""

import io
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

from agenthost.config.findings_text import Line, Segment
from agenthost.examples import ExampleResult, ExamplesReport, RuleReach, action_of

MAX_NAME_WIDTH = 48


def render_report(report: ExamplesReport, *, handlers: bool) -> tuple[Line, ...]:
    """One line a test, what differed below it, then the counts and the rules that no test reached.

    `handlers`: some agent has a request handler, which tests do not run.
    """
    lines: list[Line] = []
    names = [result.example.name for result in report.results]
    names += [_missed(reach) for reach in report.rules if not reach.reached]
    width = min(max(map(len, names), default=0), MAX_NAME_WIDTH)
    for result in report.results:
        lines += _result_lines(result, width)
    if not report.results:
        lines.append((Segment(text="the file has no `tests:`", style="warning"),))
    else:
        lines += [(), _count_line(report)]
    lines += _coverage_lines(report, width)
    if handlers:
        lines.append((Segment(text="handlers were not asked: tests run rules only", style="dim"),))
    return tuple(lines)


def as_json(report: ExamplesReport, file: str) -> dict[str, Any]:
    """All of it as plain data."""
    return {
        "file": file,
        "passed": report.passed,
        "tests": [_result_json(result) for result in report.results],
        "rules": [
            {"agent": reach.agent, "rule": reach.rule.name, "line": _line(reach), "reached": reach.reached}
            for reach in report.rules
        ],
    }


def as_junit(report: ExamplesReport, file: str) -> bytes:
    """One suite, a case for each test; a failure's text says what differed."""
    failures = sum(not result.passed for result in report.results)
    counts = {"tests": str(len(report.results)), "failures": str(failures), "errors": "0"}
    root = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(root, "testsuite", {"name": file, **counts})
    for result in report.results:
        attributes = {
            "classname": result.receiver,
            "name": _xml_text(result.example.name),
            "file": file,
            "line": str(result.example.place.line),
        }
        case = ElementTree.SubElement(suite, "testcase", attributes)
        if not result.passed:
            texts = [_xml_text(text) for text in _mismatch_texts(result)]
            ElementTree.SubElement(case, "failure", {"message": texts[0]}).text = "\n".join(texts)
    ElementTree.indent(root)
    stream = io.BytesIO()
    ElementTree.ElementTree(root).write(stream, encoding="utf-8", xml_declaration=True)
    return stream.getvalue() + b"\n"


def _result_lines(result: ExampleResult, width: int) -> Iterator[Line]:
    mark, style = ("✓", "ok") if result.passed else ("✗", "error")
    name = result.example.name
    right = f"{_route(result)} by `{result.decision.rule}`" if result.passed else str(result.example.place)
    yield _row(mark, style, name, right, width)
    for text in _mismatch_texts(result):
        yield (Segment(text=f"      {text}"),)


def _mismatch_texts(result: ExampleResult) -> list[str]:
    """Empty for a test that passed; else what differed, and who decided."""
    if result.passed:
        return []
    texts = [f"{one.what}: expected {one.expected}, got {one.actual}" for one in result.mismatches]
    place = f" ({result.decision.place})" if result.decision.place else ""
    return [*texts, f"why: {result.decision.reason}{place}"]


def _route(result: ExampleResult) -> str:
    action = action_of(result.decision).value
    routed = result.decision.agent != result.receiver
    return f"{action}, {result.receiver} → {result.decision.agent}" if routed else f"{action}, {result.receiver}"


def _count_line(report: ExamplesReport) -> Line:
    failed = sum(not result.passed for result in report.results)
    total = len(report.results)
    text = f"{total} test{'' if total == 1 else 's'}: {total - failed} passed"
    if failed:
        return Segment(text=f"{text}, "), Segment(text=f"{failed} failed", style="error")
    return (Segment(text=text, style="ok"),)


def _coverage_lines(report: ExamplesReport, width: int) -> Iterator[Line]:
    missed = [reach for reach in report.rules if not reach.reached]
    if not report.rules:
        return
    yield (Segment(text=f"{len(report.rules) - len(missed)} of {len(report.rules)} rules decided a test"),)
    for reach in missed:
        yield _row("–", "warning", _missed(reach), str(reach.rule.place or ""), width)


def _missed(reach: RuleReach) -> str:
    return f"{reach.agent}: `{reach.rule.name}` decided none"


def _row(mark: str, style: str, name: str, right: str, width: int) -> Line:
    return (
        Segment(text=f"  {mark} ", style=style),
        Segment(text=f"{name:<{width}}"),
        Segment(text=f"  {right}", style="dim"),
    )


def _result_json(result: ExampleResult) -> dict[str, Any]:
    decision = result.decision
    return {
        "name": result.example.name,
        "line": result.example.place.line,
        "passed": result.passed,
        "decision": {
            "action": action_of(decision).value,
            "receiver": result.receiver,
            "agent": decision.agent,
            "rule": decision.rule,
            "reason": decision.reason,
        },
        "mismatches": [{"what": one.what, "expected": one.expected, "actual": one.actual} for one in result.mismatches],
    }


def _line(reach: RuleReach) -> int:
    return reach.rule.place.line if reach.rule.place else 0


def _xml_text(text: str) -> str:
    """XML has no place for control characters."""
    return "".join(character if character.isprintable() else " " for character in text)
