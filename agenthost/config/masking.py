"""Keeps secrets out of what people are shown: snippets of a file, and values of a resolved configuration. Pure.

Columns stay as they are, so that carets still point at the right place.
"""

import hashlib
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from agenthost.config.fields import Kind, Spec
from agenthost.config.host_fields import FILE
from agenthost.config.nodes import Keys, Node, data, dotted

MASK = "•"

_SECRET_WORD = r"(?:secret|token|password|passwd|credential|api[_-]?key|private[_-]?key)"
# Possessive, and only at the start of a name: a line of a megabyte must not take a minute.
_ASSIGNED = re.compile(
    rf"(?i)(?<![\w.-])(?P<head>[\"']?+(?=[\w.-]*?{_SECRET_WORD})[\w.-]++[\"']?+\s*+[:=]\s*+[\"']?)"
    r"(?P<value>[^\s\"',}#][^\"',}#\n]*)"
)


_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")
_PUBLIC = re.compile(r"[\"']?secret_in_jobs\b")
"""A key whose name only looks like a secret's."""


_SECRET_NAME = re.compile(rf"(?i)(?=[\w.-]*?{_SECRET_WORD})[\w.-]++")


@lru_cache(maxsize=4096)
def looks_secret(name: str) -> bool:
    """Whether something called `name` is probably a secret (`OPENAI_API_KEY`)."""
    return _SECRET_NAME.fullmatch(name) is not None


def mask_text(text: str, root: Node | None) -> str:
    """The file's text with every secret value replaced by dots of the same length; references stay readable.

    Fields that the table calls secret are found by the tree. By their name alone are found those in free mappings,
    and all of them where the text could not be read.
    """
    lines = text.split("\n")
    if root is not None:
        _mask_nodes(root, FILE, lines)
    return "\n".join(_ASSIGNED.sub(_mask_match, line) for line in lines)


def fingerprint(secret: str) -> str:
    """Eight hex digits by which two secrets can be compared without being seen."""
    return hashlib.sha256(secret.encode()).hexdigest()[:8]


def without_userinfo(value: Any) -> Any:
    """A URL without the user name and password in it; everything else as it is."""
    return _USERINFO.sub("…@", value) if isinstance(value, str) else value


def withheld(node: Node, spec: Spec) -> frozenset[str]:
    """The dotted paths below `node` of values that no log tells: what is or looks secret, and what free texts have from
    variables, for nobody knows what is in `DATABASE_URL`.
    """
    return frozenset(map(dotted, _withheld(node, spec, (), secret=False)))


def _withheld(node: Node, spec: Spec | None, path: Keys, *, secret: bool) -> Iterator[Keys]:
    """`secret`: a key on the way to `node` says so."""
    if path and node.is_scalar:
        if secret or _is_withheld(node, spec):
            yield path
        return
    for key, child in node.entries.items():
        below = spec.child(key) if spec is not None else None
        yield from _withheld(child, below, (*path, key), secret=secret or looks_secret(key))
    for index, child in enumerate(node.items):
        below = spec.child(index) if spec is not None else None
        yield from _withheld(child, below, (*path, index), secret=secret)


def open_data(node: Node) -> object:
    """The node as plain data, with `…` for what no log tells. It has no fields that the table calls secret."""
    if node.entries:
        return {key: "…" if looks_secret(key) else open_data(child) for key, child in node.entries.items()}
    if node.items:
        return [open_data(child) for child in node.items]
    return "…" if _from_variable(node) else data(node)


def _is_withheld(node: Node, spec: Spec | None) -> bool:
    is_free = spec is None or spec.field.kind is Kind.TEMPLATE or spec.field.path.endswith("*")
    named = any(map(looks_secret, node.references))
    return (spec is not None and spec.field.secret) or named or (is_free and _from_variable(node))


def _from_variable(node: Node) -> bool:
    return any(not name.startswith("file:") for name in node.references)


def _mask_match(match: re.Match[str]) -> str:
    value = match["value"].rstrip()
    blanks = match["value"][len(value) :]
    shown = value.startswith("${") or _PUBLIC.match(match["head"])
    return match["head"] + (value if shown else MASK * len(value)) + blanks


def _mask_nodes(node: Node, spec: Spec | None, lines: list[str]) -> None:
    secret = spec is not None and spec.field.secret
    if node.is_scalar:
        if secret and node.span.line and not node.text.startswith("${") and isinstance(node.value, str | int | float):
            _mask_span(node, lines)
        return
    for key, child in node.entries.items():
        _mask_nodes(child, spec.child(key) if spec else None, lines)
    for index, child in enumerate(node.items):
        _mask_nodes(child, spec.child(index) if spec else None, lines)


def _mask_span(node: Node, lines: list[str]) -> None:
    span = node.span
    number = span.line - 1
    line = lines[number]
    lines[number] = line[: span.column - 1] + MASK * (span.end_column - span.column) + line[span.end_column - 1 :]
    for follow in range(number + 1, number + node.text.count("\n") + 1):
        # A value over several lines (`|` or quoted): its further lines hold nothing else.
        if follow < len(lines):
            lines[follow] = MASK * len(lines[follow])
