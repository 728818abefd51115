"""Turns the parser's complaints into findings that say what to type; the usual traps get a hint of their own."""

import re

import yaml
from msgspec import Struct

from agenthost.config.collector import Collector
from agenthost.config.fields import Kind, descend
from agenthost.config.findings import Fix, Related
from agenthost.config.host_fields import FILE
from agenthost.config.nodes import Span
from agenthost.config.scalars import quote


class _Trap(Struct, frozen=True, kw_only=True):
    """One well-known way to break YAML, recognised in the line that broke."""

    code: str
    message: str
    hint: str
    span: Span
    fix: Fix | None = None


def report_character(index: int, text: str, findings: Collector) -> None:
    """A character that may not stand in a file, at `index`."""
    index = min(index, max(len(text) - 1, 0))
    line = text.count("\n", 0, index) + 1
    column = index - (text.rfind("\n", 0, index) + 1) + 1
    code_point = ord(text[index]) if text else 0
    span = Span(line=line, column=column, end_column=column + 1)
    findings.report(
        "AH002",
        f"the character U+{code_point:04X} is not allowed",
        span,
        hint="remove it, or write it as an escape in double quotes",
    )


def report_syntax(error: yaml.MarkedYAMLError, text: str, findings: Collector) -> None:
    """One finding for a YAML syntax error: a known trap by its name, else in the parser's own words."""
    mark = error.problem_mark or error.context_mark
    if mark is None:
        findings.report("AH003", f"not valid YAML: {error.problem}")
        return
    lines = text.split("\n")
    number = min(mark.line, len(lines) - 1)
    line = lines[number].rstrip("\r")
    trap = _find_trap(error, number, min(mark.column, len(line)), line, lines)
    if trap is None:
        _report_plainly(error, lines, findings)
        return
    findings.report(trap.code, trap.message, trap.span, hint=trap.hint, fix=trap.fix)


def _find_trap(error: yaml.MarkedYAMLError, number: int, column: int, line: str, lines: list[str]) -> _Trap | None:
    problem = error.problem or ""
    if "another document" in problem:
        return _Trap(
            code="AH011",
            message="a file holds one document",
            hint="remove this `---` and what follows",
            span=_span(number, column, column + 3),
        )
    if "tab character" in problem:
        return _tab(number, column, line)
    if "cannot start any token" in problem:
        return _tab(number, column, line) or _reserved(number, column, line)
    if "alias" in (error.context or "") or "undefined alias" in problem:
        return _star(number, line, lines, error)
    if "mapping values are not allowed" in problem:
        return _missing_blank(number, line, lines) or _colon(number, column, line)
    if "or '}'" in problem or "or ']'" in problem:
        return _braces(number, column, line) or _colon_in_flow(number, column, line)
    if "unexpected ':'" in problem:
        return _last_colon(number, line, len(line[:column].rstrip(": ")) - 1)
    if "unknown escape" in problem:
        return _Trap(
            code="AH010",
            message="a backslash in double quotes starts an escape",
            hint="use single quotes: '…'",
            span=_span(number, column, column + 2),
        )
    return None


def _tab(number: int, column: int, line: str) -> _Trap | None:
    tab = line.find("\t")
    if tab < 0 or line[:tab].strip() or (line[tab : column + 1].strip("\t ") and column != tab):
        return None
    end = len(line) - len(line.lstrip())
    fix = Fix(line=number + 1, column=1, end_column=end + 1, text=line[:end].replace("\t", "  "))
    return _Trap(
        code="AH009",
        message="a tab cannot indent YAML",
        hint="use two spaces for each level",
        span=_span(number, tab, end),
        fix=fix,
    )


def _reserved(number: int, column: int, line: str) -> _Trap | None:
    character = line[column : column + 1]
    if character not in ("@", "`", "%"):
        return None
    value = _value_from(line, column)
    return _quoting(number, column, value, f"a text that starts with `{character}` needs quotes")


def _star(number: int, line: str, lines: list[str], error: yaml.MarkedYAMLError) -> _Trap | None:
    mark = error.context_mark or error.problem_mark
    if mark is None or mark.line >= len(lines):
        return None
    line = lines[mark.line].rstrip("\r")
    value = _value_from(line, mark.column)
    if re.fullmatch(r"\*[A-Za-z0-9_-]+", value):
        name = value[1:]
        return _Trap(
            code="AH010",
            message=f"there is no anchor `&{name}`",
            hint=f"define `&{name}` above, or quote it if it is a pattern: {quote(value)}",
            span=_span(mark.line, mark.column, mark.column + len(value)),
        )
    return _quoting(mark.line, mark.column, value, "a pattern that starts with `*` needs quotes")


def _missing_blank(number: int, line: str, lines: list[str]) -> _Trap | None:
    """`key:value` without a blank is one word to YAML; it is noticed a line later, at the next colon."""
    for index in (number, number - 1):
        if index < 0:
            continue
        match = re.match(r"(\s*(?:- )?)([A-Za-z_][\w.-]*):(?=[^\s:/])", lines[index])
        if match and ": " not in lines[index] and not lines[index].rstrip().endswith(":"):
            start = match.end() - 1
            fix = Fix(line=index + 1, column=start + 1, end_column=start + 2, text=": ")
            return _Trap(
                code="AH010",
                message="a blank is missing after the colon",
                hint=f"write `{match[2]}: …`",
                span=_span(index, len(match[1]), len(lines[index].rstrip())),
                fix=fix,
            )
    return None


def _last_colon(number: int, line: str, index: int) -> _Trap | None:
    """A value that ends in a colon, around `index`: an attribute that was not written, or the start of a mapping."""
    value = next((m for m in _ENDS_IN_COLON.finditer(line) if m.start() <= index < m.end()), None)
    if value is None:
        return None
    key = re.search(r"([A-Za-z_][\w-]*):\s+$", line[: value.start()])
    hint = f"take the last `:` away, or quote it: {quote(value[0])}"
    if key and key[1] in _CALLABLES:
        hint = f"name the attribute too: `{value[0]}entrypoint`"
    return _Trap(
        code="AH010",
        message="a text that ends in `:` starts another mapping",
        hint=hint,
        span=_span(number, value.start(), value.end()),
    )


_CALLABLES = frozenset(spec.field.name for _, spec in descend(FILE) if spec.field.kind is Kind.CALLABLE) | {"prewarm"}


def _colon_in_flow(number: int, column: int, line: str) -> _Trap | None:
    """`{ name: a: b }`: the second colon is where the parser gives up."""
    match = re.search(r"[:,{\[]\s*([^\s,{}\[\]'\"#:][^,{}\[\]'\"#:]*)$", line[:column])
    rest = re.match(r":\s[^,{}\[\]'\"#]*", line[column:])
    if match is None or rest is None:
        return None
    return _quoting(number, match.start(1), (match[1] + rest[0]).rstrip(), "a text with `: ` in it needs quotes")


def _colon(number: int, column: int, line: str) -> _Trap | None:
    match = re.match(r"(\s*(?:- )*[^\s'\"#:{\[][^'\"#:{\[]*:\s+)([^'\"\s{\[|>&*!#].*?)\s*$", line)
    if match is None or ":" not in match[2]:
        return None
    if match[2].endswith(":") and ": " not in match[2]:
        return _last_colon(number, line, len(line.rstrip()) - 1)
    return _quoting(number, len(match[1]), match[2], "a text with `: ` in it needs quotes")


# Both begin at the start of a word only and give nothing back: a line of a megabyte must not take a minute.
_WITH_BRACES = re.compile(r"(?<![^\s,{}\[\]'\"])[^\s,{}\[\]'\"#][^\s,{}\[\]'\"]*+(\{[^{}]*+\}[^\s,{}\[\]]*+)++")
_ENDS_IN_COLON = re.compile(r"(?<![^\s,{}\[\]'\"#])[^\s,{}\[\]'\"#]++(?<=:)(?=\s|$|[,}\]])")


def _braces(number: int, column: int, line: str) -> _Trap | None:
    """An unquoted `{` inside a flow mapping (`agent-{job.id}`, `/a{2,3}/`, `${NAME}`) opens another mapping."""
    match = next(
        (m for m in _WITH_BRACES.finditer(line) if m.start() <= column <= m.end()),
        None,
    )
    if match is None:
        return None
    return _quoting(number, match.start(), match[0], "a text with `{` in it needs quotes inside `{ … }`")


def _quoting(number: int, column: int, value: str, message: str) -> _Trap:
    quoted = f"'{value}'" if "\\" in value and "'" not in value else quote(value)
    fix = Fix(line=number + 1, column=column + 1, end_column=column + len(value) + 1, text=quoted)
    return _Trap(
        code="AH010",
        message=message,
        hint=f"write {quoted}",
        span=_span(number, column, column + len(value)),
        fix=fix,
    )


def _value_from(line: str, column: int) -> str:
    """The unquoted value that starts at `column`: to the end of the line, or of the flow entry it stands in."""
    rest = re.split(r"\s+#", line[column:])[0].rstrip()
    in_flow = line[:column].count("{") > line[:column].count("}") or line[:column].count("[") > line[:column].count("]")
    return re.split(r"\s*[,}\]]", rest)[0] if in_flow else rest


def _plainly(error: yaml.MarkedYAMLError) -> str:
    problem = (error.problem or "it cannot be read").replace("did not find expected", "expected")
    known = {
        "found unexpected end of stream": "a quote is never closed",
        "expected key": "expected a key here: check the indentation and the quotes before it",
        "expected ',' or '}'": "a `{` is not closed, or a comma is missing",
        "expected ',' or ']'": "a `[` is not closed, or a comma is missing",
        "block sequence entries are not allowed in this context": "a list item needs a line of its own",
    }
    return known.get(problem, problem)


def _report_plainly(error: yaml.MarkedYAMLError, lines: list[str], findings: Collector) -> None:
    """The parser's own complaint. What is never closed is shown where it was opened, not at the end of the file."""
    start, mark = error.context_mark, error.problem_mark or error.context_mark
    if mark is None:
        return
    if start is not None and "end of stream" in (error.problem or ""):
        mark = start
    related = []
    if start is not None and start.line != mark.line and "or '" in (error.problem or ""):
        place = _on_line(start.line, start.column, lines)
        related.append(
            Related(line=place.line, column=place.column, end_column=place.end_column, message="opened here")
        )
    span = _on_line(mark.line, mark.column, lines)
    findings.report("AH003", f"not valid YAML: {_plainly(error)}", span, related=related)


def _on_line(number: int, column: int, lines: list[str]) -> Span:
    number = min(number, len(lines) - 1)
    column = min(column, len(lines[number].rstrip("\r")))
    return Span(line=number + 1, column=column + 1, end_column=column + 2)


def _span(number: int, start: int, end: int) -> Span:
    return Span(line=number + 1, column=start + 1, end_column=max(end, start + 1) + 1)
