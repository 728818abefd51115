"""YAML text → Document: plain nodes with the position of every key and value. Strict, bounded, without side effects.

Refuses what makes YAML surprising or dangerous: duplicate keys, tags, keys that are no text, recursive aliases,
and any file that is too large, too deep or grows too much by its aliases. Runs wherever a file is read.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Protocol

import yaml
from msgspec import Struct
from msgspec.structs import replace

from agenthost.config.collector import Collector
from agenthost.config.findings import Related
from agenthost.config.nodes import NOWHERE, Keys, Node, Scalar, Span
from agenthost.config.scalars import read_scalar
from agenthost.config.yaml_errors import report_character, report_syntax

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 40
MAX_NODES = 50_000

_LINE_BREAK = re.compile(r"[\r\x85\u2028\u2029]")
_PLAIN = "plain"
_QUOTED = "quoted"
_COLLECTION = "collection"


class Document(Struct, frozen=True, kw_only=True):
    """One file, read. `root` is always a mapping."""

    file: str
    text: str
    root: Node


def parse(text: str, file: str, findings: Collector) -> Document | None:
    """Read `text`; problems go to `findings`. None when there is nothing that the next step could work with."""
    strange = _LINE_BREAK.search(text)
    if strange is not None:
        # To YAML these end a line, to every editor and to the one who reads our line numbers they do not.
        report_character(strange.start(), text, findings)
        return None
    root = _compose(text, findings)
    if root is None:
        return None
    node = _Reader(text, findings).read(root)
    if node is None or (findings.has_errors() and not node.entries):
        return None
    if node.is_scalar and node.value is None:
        findings.report("AH004", "the file is empty", hint="the shortest file is `entrypoint: my_agent:entrypoint`")
        return None
    if not isinstance(node.value, Mapping):
        kind = "a list" if node.items else "a single value"
        findings.report("AH005", f"the file must be a mapping (`key: value` lines), not {kind}", node.span)
        return None
    return Document(file=file, text=text, root=node)


def decode(raw: bytes, findings: Collector) -> str | None:
    """The bytes of a file as text, or None with a finding when they are too many or not UTF-8."""
    if len(raw) > MAX_BYTES:
        limit = f"{MAX_BYTES // 1024} KiB"
        findings.report("AH006", f"the file is larger than {limit}", hint="move long texts out with `${file:…}`")
        return None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        before = raw[raw.rfind(b"\n", 0, error.start) + 1 : error.start]
        column = len(before.decode("utf-8-sig" if line == 1 else "utf-8")) + 1
        span = Span(line=line, column=column, end_column=column + 1)
        findings.report("AH002", f"byte 0x{raw[error.start]:02x} is not UTF-8 text", span, hint="save it as UTF-8")
        return None


class _NodeLoader(yaml.CSafeLoader):
    """Composes nodes only, and marks scalars by how they were written instead of guessing their type."""

    def resolve(self, kind: type[yaml.Node], value: str, implicit: object) -> str:
        if kind is not yaml.ScalarNode:
            return _COLLECTION
        return _PLAIN if implicit == (True, False) else _QUOTED

    def descend_resolver(self, current_node: yaml.Node | None, current_index: object) -> None:
        """Path resolvers are not used."""

    def ascend_resolver(self) -> None:
        """Path resolvers are not used."""


def _compose(text: str, findings: Collector) -> yaml.Node | None:
    try:
        if not _within_depth(text, findings):
            return None
        loader = _NodeLoader(text)
        try:
            root: yaml.Node | None = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.reader.ReaderError as error:
        report_character(int(error.position), text, findings)
        return None
    except yaml.MarkedYAMLError as error:
        if "nesting depth" in (error.problem or ""):  # newer libyaml gives up at 1000, reading ahead of its events
            _report_depth(error.problem_mark, findings)
            return None
        report_syntax(error, text, findings)
        return None
    if root is None:
        findings.report("AH004", "the file is empty", hint="the shortest file is `entrypoint: my_agent:entrypoint`")
    return root


def _within_depth(text: str, findings: Collector) -> bool:
    """Measure nesting on the event stream first: composing a very deep file would exhaust the C stack."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > MAX_DEPTH:
                _report_depth(event.start_mark, findings)
                return False
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return True


def _report_depth(mark: "_Mark | None", findings: Collector) -> None:
    findings.report("AH006", f"nested more than {MAX_DEPTH} levels deep", _start(mark))


class _TooManyNodes(Exception):
    """The aliases of the file unfold into more nodes than anybody writes."""


class _Reader:
    """Turns PyYAML's nodes into ours; aliases are unfolded, each use with its own path and the anchor's place."""

    def __init__(self, text: str, findings: Collector) -> None:
        self._line_ends = [len(line) + 1 for line in text.split("\n")]
        self._findings = findings
        self._budget = MAX_NODES
        self._open: set[int] = set()

    def read(self, root: yaml.Node) -> Node | None:
        try:
            return self._node(root, ())
        except _TooManyNodes:
            message = f"its aliases unfold into more than {MAX_NODES} values"
            self._findings.report("AH006", message, self._span(root), hint="repeat less with `*alias`")
            return None

    def _node(self, node: yaml.Node, path: Keys, key: Span | None = None) -> Node:
        self._budget -= 1
        if self._budget < 0:
            raise _TooManyNodes
        if node.tag not in (_PLAIN, _QUOTED, _COLLECTION):
            self._findings.report(
                "AH007",
                f"tags such as `{node.tag[:60]}` are not supported",
                self._span(node),
                path=path,
                hint="take it out; a text stands in quotes",
            )
        span = self._span(node)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, span, path, key)
        if id(node) in self._open:
            self._findings.report("AH008", "an alias may not contain itself", span, path=path)
            return Node(value=None, span=span, key=key, path=path)
        self._open.add(id(node))
        value: dict[str, Node] | tuple[Node, ...]
        if isinstance(node, yaml.MappingNode):
            value = self._mapping(node, path)
        else:
            value = tuple(self._node(item, (*path, index)) for index, item in enumerate(node.value))
        self._open.discard(id(node))
        return Node(value=value, span=span, key=key, path=path)

    def _scalar(self, node: yaml.ScalarNode, span: Span, path: Keys, key: Span | None) -> Node:
        plain = node.tag == _PLAIN
        value: Scalar = read_scalar(node.value) if plain else node.value
        return Node(value=value, span=span, key=key, path=path, text=node.value, quoted=not plain)

    def _mapping(self, node: yaml.MappingNode, path: Keys) -> dict[str, Node]:
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for key_node, value_node in node.value:
            key_span = self._span(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                hint = (
                    "a text with `{` in it needs quotes" if key_node.start_mark.index < key_node.end_mark.index else ""
                )
                self._findings.report("AH012", "a key must be plain text", key_span, path=path, hint=hint)
                continue
            name = key_node.value
            if name == "<<" and key_node.tag == _PLAIN:
                merged.update(self._merge(value_node, path, merged))
                continue
            child = self._node(value_node, (*path, name), key_span)
            if name in own:
                self._report_duplicate(name, own[name], child)
            else:
                own[name] = child
        return own | {key: child for key, child in merged.items() if key not in own}

    def _merge(self, node: yaml.Node, path: Keys, seen: dict[str, Node]) -> dict[str, Node]:
        """The entries that a merge key (`<<`) brings along; of several sources the first one wins."""
        entries: dict[str, Node] = {}
        for source in _sources(node):
            merged = self._node(source, path)
            if not isinstance(source, yaml.MappingNode):
                self._findings.report("AH008", "`<<` merges mappings only", self._span(source), path=path)
            for key, child in merged.entries.items():
                if key not in seen and key not in entries:
                    entries[key] = replace(child, path=(*path, key))
        return entries

    def _report_duplicate(self, name: str, first: Node, second: Node) -> None:
        if first.key is None or second.key is None:
            return
        parent = second.path[:-1]
        what = f"agent `{name}`" if parent == ("agents",) else f"`{name}`"
        related = Related(
            line=first.key.line, column=first.key.column, end_column=first.key.end_column, message="first here"
        )
        self._findings.report(
            "AH102",
            f"{what} is defined twice",
            second.key,
            path=second.path,
            hint="and again here",
            related=(related,),
        )

    def _span(self, node: yaml.Node) -> Span:
        """The node's first line only: that is where a caret can stand."""
        start, end = node.start_mark, node.end_mark
        stop = end.column + 1 if end.line == start.line else self._line_ends[start.line]
        return Span(line=start.line + 1, column=start.column + 1, end_column=max(stop, start.column + 2))


class _Mark(Protocol):
    line: int
    column: int


def _start(mark: _Mark | None) -> Span:
    return Span(line=mark.line + 1, column=mark.column + 1, end_column=mark.column + 2) if mark else NOWHERE


def _sources(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    else:
        yield node
