"""A resolved configuration as YAML for people: every value in force, on request with where it came from. Pure.

Secrets are shown as a short fingerprint, so that two files can be compared without showing them.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from agenthost.config.fields import Kind, Spec
from agenthost.config.host_fields import FILE
from agenthost.config.masking import fingerprint, looks_secret, without_userinfo
from agenthost.config.nodes import BUILT_IN, Node, OriginKind
from agenthost.config.resolve import AGENT, Resolved
from agenthost.config.scalars import quote, write_scalar

_HOST = {**FILE.children, "drain_timeout": AGENT.children["drain_timeout"]}
_NOISE = ("control", "requests.rules", "tests")  # empty by default and better not seen a dozen times


class Row(Struct, frozen=True, kw_only=True):
    """One line: `text` is YAML, `origin` where the value came from (empty for a line that only opens a section)."""

    text: str
    origin: str = ""


def rows(resolved: Resolved, *, file: str, defaults: bool) -> tuple[Row, ...]:
    """The configuration, host first. Without `defaults`, what nobody wrote is left out."""
    writer = _Writer(file, defaults=defaults)
    lines = [*writer.section(_in_force(resolved), _HOST, 0)]
    lines.append(Row(text="agents:"))
    for name, agent in resolved.agents.items():
        lines.append(Row(text=f"  {write_scalar(name)}:"))
        lines += writer.section(agent, AGENT.children, 2)
    return tuple(lines)


def values(resolved: Resolved, *, file: str, defaults: bool) -> dict[str, Any]:
    """The same as plain data: every leaf is `{value, origin}`."""
    writer = _Writer(file, defaults=defaults)
    agents = {name: writer.plain(agent, AGENT.children) for name, agent in resolved.agents.items()}
    return {**writer.plain(_in_force(resolved), _HOST), "agents": agents}


def _in_force(resolved: Resolved) -> Node:
    """The host's keys without the profiles that were not chosen."""
    entries = {key: child for key, child in resolved.host.entries.items() if key != "profiles"}
    return replace(resolved.host, value=entries)


class _Writer:
    def __init__(self, file: str, *, defaults: bool) -> None:
        self._file = file
        self._defaults = defaults

    def section(self, node: Node, specs: Mapping[str, Spec], depth: int) -> Iterator[Row]:
        for key, child in node.entries.items():
            spec = specs.get(key)
            if self._shown(child) and not _is_noise(child, spec) and not _says_nothing(child):
                yield from self._entry(key, child, spec, depth)

    def plain(self, node: Node, specs: Mapping[str, Spec]) -> dict[str, Any]:
        return {
            key: self._plain(key, child, specs.get(key)) for key, child in node.entries.items() if self._shown(child)
        }

    def _shown(self, node: Node) -> bool:
        if self._defaults:
            return True
        children = [*node.entries.values(), *node.items]
        return any(map(self._shown, children)) if children else node.origin != BUILT_IN

    def _entry(self, key: str, node: Node, spec: Spec | None, depth: int) -> Iterator[Row]:
        head = "  " * depth + f"{write_scalar(key)}:"
        if node.entries:
            yield Row(text=head)
            yield from self.section(
                node, spec.children if spec and _is_section(spec) else _items(node, spec), depth + 1
            )
        elif node.items and not all(item.is_scalar for item in node.items):
            yield Row(text=head)
            for item in node.items:
                yield from self._item(item, spec.child(0) if spec else None, depth + 1)
        else:
            yield Row(text=f"{head} {self._inline(key, node, spec)}", origin=self._origin(node))

    def _item(self, node: Node, spec: Spec | None, depth: int) -> Iterator[Row]:
        if not node.entries:
            yield Row(text="  " * depth + f"- {self._inline('', node, spec)}", origin=self._origin(node))
            return
        inner = list(self.section(node, spec.children if spec else {}, depth + 1))
        for index, row in enumerate(inner):
            mark = "  " * depth + ("- " if index == 0 else "  ")
            yield Row(text=mark + row.text[len(mark) :], origin=row.origin)

    def _inline(self, key: str, node: Node, spec: Spec | None) -> str:
        if isinstance(node.value, tuple):
            return "[" + ", ".join(self._inline(key, item, spec) for item in node.items) + "]"
        if isinstance(node.value, Mapping):
            return "{}"
        return _scalar(key, node, spec)

    def _plain(self, key: str, node: Node, spec: Spec | None) -> Any:
        if node.entries:
            return self.plain(node, spec.children if spec and _is_section(spec) else _items(node, spec))
        if node.items and not all(item.is_scalar for item in node.items):
            below = spec.child(0) if spec else None
            return [self.plain(item, below.children if below else {}) for item in node.items]
        if isinstance(node.value, tuple):
            value: Any = [item.value for item in node.items]
        else:
            value = {} if isinstance(node.value, Mapping) else _hidden(key, node, spec) or without_userinfo(node.value)
        return {"value": value, "origin": self._origin(node)}

    def _origin(self, node: Node) -> str:
        place = f"{self._file}:{node.span.line}" if node.span.line else self._file
        match node.origin.kind:
            case OriginKind.DEFAULT:
                return "default"
            case OriginKind.ENVIRONMENT:
                return f"${node.origin.name}"
            case OriginKind.OPTION:
                return node.origin.name
            case OriginKind.PROFILE:
                place = f"profile {node.origin.name} ({place})"
            case OriginKind.FILE:
                pass
        references = [name if name.startswith("file:") else f"${name}" for name in node.references]
        return f"{place} from {', '.join(references)}" if references else place


def _is_noise(node: Node, spec: Spec | None) -> bool:
    return spec is not None and node.value == {} and node.origin == BUILT_IN and spec.field.path.startswith(_NOISE)


def _says_nothing(node: Node) -> bool:
    """A section in which nothing is written and nothing is by default, such as a rule's `accept`."""
    children = node.entries.values()
    return node.origin == BUILT_IN and bool(children) and all(child.value == {} for child in children)


def _is_section(spec: Spec) -> bool:
    return spec.field.kind is Kind.SECTION


def _items(node: Node, spec: Spec | None) -> dict[str, Spec]:
    """The spec of each entry of a mapping whose keys are free."""
    below = spec.child("") if spec and spec.field.kind is Kind.TEXT_MAP else None
    return dict.fromkeys(node.entries, below) if below else {}


def _scalar(key: str, node: Node, spec: Spec | None) -> str:
    hidden = _hidden(key, node, spec)
    if hidden:
        return hidden
    if node.opaque:
        return quote(node.text)
    if isinstance(node.value, str):
        return write_scalar(without_userinfo(node.value))
    return write_scalar(node.value) if node.is_scalar and not isinstance(node.value, (tuple, Mapping)) else ""


def _hidden(key: str, node: Node, spec: Spec | None) -> str:
    """The fingerprint of a secret; empty for what may be shown."""
    secret = (spec is not None and spec.field.secret) or looks_secret(key) or any(map(looks_secret, node.references))
    if not secret or not node.value or node.origin == BUILT_IN or isinstance(node.value, bool):
        return ""
    return f"<secret {fingerprint(str(node.value))}>"
