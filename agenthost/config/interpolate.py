"""`${NAME}`, `${NAME:-default}`, `${NAME:?message}` and `${file:PATH}` in values, after parsing.

The result is always one text, whatever the variable holds: never structure, never expanded again. A bare `$` is
literal and `$${` stands for `${`. Pure but for the two look-ups that are passed in.
"""

import re
from collections.abc import Callable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from agenthost.config.collector import Collector
from agenthost.config.nodes import Node

_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<body>[^{}]*)\}|\$\{")
_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_BODY = re.compile(rf"(?P<name>{_NAME})(?:(?P<operator>:-|:\?)(?P<rest>.*))?", re.DOTALL)


class UnreadableFile(Exception):
    """What `Sources.read_file` raises; `str()` says why, without the path."""


class Sources(Struct, frozen=True, kw_only=True):
    """Where interpolation looks things up. With `lenient`, what is not there is unknown instead of an error."""

    variables: Mapping[str, str]
    read_file: Callable[[str], str]
    lenient: bool = False


class _Problem(Struct, frozen=True, kw_only=True):
    code: str
    message: str
    hint: str


class _Piece(Struct, frozen=True, kw_only=True):
    """What one reference became. `name` is empty for the escape; `text` None: unknown here."""

    name: str = ""
    text: str | None = None
    problem: _Problem | None = None


def interpolate(node: Node, sources: Sources, findings: Collector) -> Node:
    """The tree with every reference in its values expanded; unset variables and the like go to `findings`."""
    if node.items:
        return replace(node, value=tuple(interpolate(child, sources, findings) for child in node.items))
    if node.entries:
        entries = {key: interpolate(child, sources, findings) for key, child in node.entries.items()}
        return replace(node, value=entries)
    if isinstance(node.value, str) and "${" in node.value:
        return _expand(node, node.value, sources, findings)
    return node


def hide_references(node: Node) -> Node:
    """The tree with every value that holds a reference marked as unknown, without looking anything up."""
    if node.items:
        return replace(node, value=tuple(hide_references(child) for child in node.items))
    if node.entries:
        return replace(node, value={key: hide_references(child) for key, child in node.entries.items()})
    return replace(node, opaque=True) if isinstance(node.value, str) and "${" in node.value else node


def is_single_reference(text: str) -> bool:
    """Whether a text is nothing but one `${NAME}`, `${NAME:?…}` or `${file:…}`: what a secret must be."""
    match = _REFERENCE.fullmatch(text)
    body = match["body"] if match else None
    return body is not None and ":-" not in body


def _expand(node: Node, text: str, sources: Sources, findings: Collector) -> Node:
    pieces: list[str] = []
    names: list[str] = []
    opaque = False
    position = 0
    for match in _REFERENCE.finditer(text):
        pieces.append(text[position : match.start()])
        position = match.end()
        piece = _look_up(match, sources)
        if piece.problem is not None:
            findings.about(piece.problem.code, piece.problem.message, node, hint=piece.problem.hint)
        opaque = opaque or piece.text is None
        if piece.problem is not None and match["body"] is None:
            break  # what stands inside something broken is not looked up
        pieces.append(piece.text or "")
        names += [piece.name] if piece.name else []
    pieces.append(text[position:])
    return replace(node, value="".join(pieces), references=tuple(names), opaque=opaque)


def _look_up(match: re.Match[str], sources: Sources) -> _Piece:
    if match[0] == "$${":
        return _Piece(text="${")
    body = match["body"]
    if body is None and re.match(r"\$\{[^{}]*[{]", match.string[match.start() :]):
        return _malformed("a reference cannot hold braces", "references do not nest: give the default as it is")
    if body is None:
        return _malformed("a `${` is never closed", "close it with `}`, or write `$${` for a literal `${`")
    if body.startswith("file:"):
        return _file(body.removeprefix("file:"), sources)
    parts = _BODY.fullmatch(body)
    if parts is None:
        return _malformed(f"`${{{_shortened(body)}}}` is no reference", _correction(body))
    return _variable(parts["name"], parts["operator"], parts["rest"] or "", sources)


def _variable(name: str, operator: str | None, rest: str, sources: Sources) -> _Piece:
    value = sources.variables.get(name)
    if operator == ":-":
        return _Piece(name=name, text=value or rest)
    if value or (value is not None and operator is None):
        return _Piece(name=name, text=value)
    if sources.lenient:
        return _Piece(name=name)
    state = "empty" if value is not None else "not set"
    hint = rest or f"set it, or give a default: `${{{name}:-…}}`"
    return _Piece(name=name, problem=_Problem(code="AH304", message=f"the variable {name} is {state}", hint=hint))


def _file(path: str, sources: Sources) -> _Piece:
    name = f"file:{path}"
    if not path.strip():
        return _malformed("`${file:}` names no file", "write `${file:PATH}`; PATH starts at the file's folder")
    try:
        return _Piece(name=name, text=sources.read_file(path))
    except UnreadableFile as error:
        if sources.lenient:
            return _Piece(name=name)
        problem = _Problem(
            code="AH305", message=f"cannot read `{path}`: {error}", hint="relative paths start at the file's folder"
        )
        return _Piece(name=name, problem=problem)


def _malformed(message: str, hint: str) -> _Piece:
    return _Piece(problem=_Problem(code="AH306", message=message, hint=hint))


def _correction(body: str) -> str:
    match = re.match(rf"({_NAME})([-?+])", body)
    if match and match[2] in "-?":
        return f"write `${{{match[1]}:{match[2]}…}}`; `$${{` is a literal `${{`"
    return "write `${NAME}`, `${NAME:-default}`, `${NAME:?message}` or `${file:PATH}`; `$${` is a literal `${`"


def _shortened(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"
