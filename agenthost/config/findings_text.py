"""Findings as people and machines read them: text with snippets and carets, JSON, GitHub annotations.

Works on text only; colours are names (`Segment.style`) that a terminal may turn into colours.
"""

import textwrap
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct

from agenthost.config.findings import Finding, Related, Severity

GUTTER = 5
FIXABLE = "[fixable]"
FIXABLE_COLUMN = 76
MAX_WIDTH = 120
LONGEST_TEXT = 600
MOST_SHOWN = 200
NARROWEST_HINT = 30
"""A hint stands beside its caret where there are so many columns for it, and below where there are not."""

_FRAME = GUTTER + 3  # line number or blanks, and ` │ `


class Segment(Struct, frozen=True, kw_only=True):
    """A piece of a line. `style` is "", error, warning, related, place, dim, ok or strong."""

    text: str
    style: str = ""


Line = tuple[Segment, ...]


def render(findings: Sequence[Finding], source: str, *, file: str, width: int = MAX_WIDTH) -> tuple[Line, ...]:
    """The findings one below the other, each with its lines of `source`, the text of `file` without secrets.

    No line is longer than `width` columns, unless a single word is.
    """
    lines = source.split("\n")
    rendered: list[Line] = []
    for finding in findings[:MOST_SHOWN]:
        rendered += [*_header(finding, width), *_body(finding, lines if finding.file == file else [], width), ()]
    if len(findings) > MOST_SHOWN:
        rendered += [(Segment(text=f"… and {len(findings) - MOST_SHOWN} more"),), ()]
    return (*rendered, _summary(findings))


def render_stages(stages: Mapping[str, bool | None]) -> Line:
    """What was checked: `syntax ✓  schema ✗  meaning –`."""
    segments = [Segment(text="checked: ", style="dim")]
    for index, (name, passed) in enumerate(stages.items()):
        mark, style = {True: ("✓", "ok"), False: ("✗", "error"), None: ("–", "dim")}[passed]
        segments += [Segment(text="  " if index else ""), Segment(text=f"{name} "), Segment(text=mark, style=style)]
    return tuple(segments)


def plain(lines: Sequence[Line]) -> str:
    """The lines without any colour."""
    return "\n".join("".join(segment.text for segment in line).rstrip() for line in lines)


def as_json(finding: Finding) -> dict[str, Any]:
    """One finding as plain data; positions count from 1, and 0 means the whole file."""
    return {
        "code": finding.code,
        "severity": finding.severity.value,
        "file": finding.file,
        "line": finding.line,
        "column": finding.column,
        "end_column": finding.end_column,
        "path": finding.path,
        "message": finding.message,
        "hint": finding.hint,
        "fix": _plain_fields(finding.fix, ("line", "column", "end_column", "text")),
        "related": [_plain_fields(place, ("line", "column", "end_column", "message")) for place in finding.related],
    }


def as_github(finding: Finding) -> str:
    """One finding as a workflow command, which GitHub shows beside the line."""
    place = f"file={_escape_property(finding.file)},line={max(finding.line, 1)}"
    if finding.line:
        place += f",col={finding.column},endColumn={finding.end_column}"
    text = f"{finding.message}: {finding.hint}" if finding.hint else finding.message
    text += "".join(f"; line {place.line}: {place.message}" for place in finding.related)
    return f"::{finding.severity.value} {place},title={finding.code}::{_escape_data(text)}"


def _plain_fields(value: object, names: tuple[str, ...]) -> dict[str, Any] | None:
    return {name: getattr(value, name) for name in names} if value is not None else None


def _escape_data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape_data(text).replace(":", "%3A").replace(",", "%2C")


def _header(finding: Finding, width: int) -> Iterator[Line]:
    place = f"{finding.file}:{finding.line}:{finding.column}" if finding.line else finding.file
    kind = f"{finding.severity.value}[{finding.code}]"
    taken = len(f"{place}  {kind} ")
    first, *more = _wrapped(finding.message, width, first=taken, rest=4)
    yield (
        Segment(text=place, style="place"),
        Segment(text="  "),
        Segment(text=kind, style=finding.severity.value),
        Segment(text=f" {first[taken:]}", style="strong"),
    )
    for line in more:
        yield (Segment(text=line, style="strong"),)


def _wrapped(text: str, width: int, *, first: int = 0, rest: int = 0) -> list[str]:
    """The text in lines of at most `width` columns; indented by `first` and, from the second line on, by `rest`."""
    text = _one_line(text)
    if first + len(text) <= width:
        return [" " * first + text]
    wrapper = textwrap.TextWrapper(width, break_long_words=False, break_on_hyphens=False)
    wrapper.initial_indent, wrapper.subsequent_indent = " " * first, " " * rest
    return wrapper.wrap(text) or [" " * first]


def _body(finding: Finding, lines: Sequence[str], width: int) -> Iterator[Line]:
    marks = [(place.line, place) for place in finding.related]
    if finding.line:
        marks.append((finding.line, _own_mark(finding)))
    shown = [(line, mark) for line, mark in sorted(marks, key=lambda pair: pair[0]) if 0 < line <= len(lines)]
    for _, mark in shown:
        own = mark.line == finding.line and mark.column == finding.column
        yield from _snippet(mark, lines[mark.line - 1], finding if own else None, width - _FRAME)
    if not any(line == finding.line for line, _ in shown) and finding.hint:
        for text in _wrapped(finding.hint, width - _FRAME):
            yield (_MARGIN, Segment(text=text))


def _own_mark(finding: Finding) -> Related:
    return Related(line=finding.line, column=finding.column, end_column=finding.end_column, message=finding.hint)


_MARGIN = Segment(text=" " * (GUTTER + 1) + "│ ", style="dim")


def _snippet(mark: Related, line: str, finding: Finding | None, room: int) -> Iterator[Line]:
    """The line itself, and below it the carets. Of very long lines the part around the carets is shown."""
    start, end = mark.column - 1, max(mark.end_column - 1, mark.column)
    line, start, end = _window(line, start, min(end, max(len(line), start + 1)), room)
    yield (Segment(text=f"{mark.line:>{GUTTER}} │ ", style="dim"), Segment(text=_visible(line)))
    carets = ("^" if finding else "-") * max(_width(line[start:end]), 1)
    texts = _beside(mark.message, _width(line[:start]), carets, room)
    fixable = finding is not None and finding.fix is not None
    marked = next((index for index, text in enumerate(texts) if _width(text) + len(FIXABLE) + 2 <= room), len(texts))
    if fixable and marked == len(texts):
        texts.append("")
    for index, text in enumerate(texts):
        segments = [_MARGIN, Segment(text=text, style=finding.severity.value if finding else "related")]
        if fixable and index == marked:
            column = min(FIXABLE_COLUMN - _FRAME, room - len(FIXABLE))
            gap = " " * max(column - _width(text), 2)
            segments += [Segment(text=gap), Segment(text=FIXABLE, style="dim")]
        yield tuple(segments)


def _beside(message: str, indent: int, carets: str, room: int) -> list[str]:
    """The carets with the words beside them, in as many lines as that takes, or with the words below them."""
    message = _one_line(message)
    column = indent + len(carets) + 1
    if column + _width(message) <= room:
        return [f"{' ' * indent}{carets} {message}".rstrip()]
    if room - column >= NARROWEST_HINT:
        first, *more = _wrapped(message, room, first=column, rest=column)
        return [f"{' ' * indent}{carets} {first[column:]}", *more]
    below = max(min(indent, room - min(_width(message), 2 * NARROWEST_HINT)), 0)
    return [f"{' ' * indent}{carets}", *_wrapped(message, room, first=below, rest=below)]


def _window(line: str, start: int, end: int, room: int) -> tuple[str, int, int]:
    if len(line) <= room:
        return line, start, end
    room -= 2  # for the dots
    left = max(0, start - room // 3)
    cut = line[left : left + room]
    shift = left
    if left:
        cut, shift = "…" + cut, left - 1
    if left + room < len(line):
        cut += "…"
    return cut, start - shift, min(end - shift, len(cut))


def _visible(line: str) -> str:
    """Characters that would move the cursor or colour the terminal are shown as a dot."""
    return "".join(" " if char == "\t" else char if char.isprintable() else "·" for char in line.rstrip("\r"))


def _one_line(text: str) -> str:
    """A message or hint as it may be shown: it can quote whatever stands in the file."""
    return _visible(" ".join(text[:LONGEST_TEXT].splitlines())) + ("…" if len(text) > LONGEST_TEXT else "")


def _width(text: str) -> int:
    """How many columns a text takes in a terminal."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text
    )


def _summary(findings: Sequence[Finding]) -> Line:
    errors = sum(finding.severity is Severity.ERROR for finding in findings)
    warnings = len(findings) - errors
    fixable = sum(finding.fix is not None for finding in findings)
    parts = [_count(errors, "error")] if errors or not warnings else []
    parts += [_count(warnings, "warning")] if warnings else []
    parts += [f"{fixable} fixable with --fix"] if fixable else []
    return (Segment(text=" · ".join(parts), style="error" if errors else "warning" if warnings else "ok"),)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
