"""The configuration between text and values: a tree of nodes that know where they were written.

Every step from the file to the `Config` (profiles, interpolation, short forms, defaults) makes new nodes out of
old ones and keeps their places, so an error found at any step still points at what the user typed. Runs wherever
a file is read: the host and the commands.
"""

from collections.abc import Iterator, Mapping
from enum import Enum

from msgspec import Struct

from agenthost.values import Discreet

Scalar = None | bool | int | float | str
Keys = tuple[str | int, ...]


class Span(Struct, frozen=True, kw_only=True):
    """A stretch of one line. Lines and columns count from 1, `end_column` is exclusive; line 0: not in the file."""

    line: int
    column: int
    end_column: int


NOWHERE = Span(line=0, column=0, end_column=0)


class OriginKind(Enum):
    """What kind of source gave a value."""

    FILE = "file"
    PROFILE = "profile"
    OPTION = "option"
    ENVIRONMENT = "environment"
    DEFAULT = "default"


class Origin(Struct, frozen=True, kw_only=True):
    """Where a value came from. `name` is the profile, the variable, or the part of the command line."""

    kind: OriginKind
    name: str = ""


FROM_FILE = Origin(kind=OriginKind.FILE)
BUILT_IN = Origin(kind=OriginKind.DEFAULT)


class Node(Discreet, frozen=True, kw_only=True):
    """One value of the configuration.

    `span` is the value's place and `key` that of the key before it (None in lists and at the root); `path` is where
    it was written. `text` is a scalar as written. `references` are the variables and files that interpolation put
    into it, and `opaque` says that one of them is not known here, so the value must not be judged.
    """

    not_shown = frozenset({"value", "text"})

    value: "Scalar | Mapping[str, Node] | tuple[Node, ...]"
    span: Span = NOWHERE
    key: Span | None = None
    path: Keys = ()
    origin: Origin = FROM_FILE
    text: str = ""
    quoted: bool = False
    references: tuple[str, ...] = ()
    opaque: bool = False

    @property
    def entries(self) -> "Mapping[str, Node]":
        """The keys of a mapping; empty for everything else."""
        return self.value if isinstance(self.value, Mapping) else {}

    @property
    def items(self) -> "tuple[Node, ...]":
        """The items of a list; empty for everything else."""
        return self.value if isinstance(self.value, tuple) else ()

    @property
    def is_scalar(self) -> bool:
        return not isinstance(self.value, (Mapping, tuple))

    @property
    def place(self) -> Span:
        """What to point at: a scalar itself, the key of anything larger."""
        return self.span if self.is_scalar and self.span.line else self.key or self.span


def data(node: Node) -> object:
    """The node as plain dicts, lists and scalars."""
    if isinstance(node.value, Mapping):
        return {key: data(child) for key, child in node.value.items()}
    if isinstance(node.value, tuple):
        return [data(child) for child in node.value]
    return node.value


def find(node: Node, path: Keys) -> Node | None:
    """The node below `node` at `path`, or None."""
    for step in path:
        child: Node | None = None
        if isinstance(step, int):
            child = node.items[step] if step < len(node.items) else None
        else:
            child = node.entries.get(step)
        if child is None:
            return None
        node = child
    return node


def nearest(node: Node, path: Keys) -> Node:
    """The node at `path`, or the closest one above it that exists."""
    for length in range(len(path), 0, -1):
        found = find(node, path[:length])
        if found is not None:
            return found
    return node


def walk(node: Node, path: Keys = ()) -> Iterator[tuple[Keys, Node]]:
    """`node` and everything below it, each with its path from `node`, in the order written."""
    yield path, node
    for key, child in node.entries.items():
        yield from walk(child, (*path, key))
    for index, child in enumerate(node.items):
        yield from walk(child, (*path, index))


def dotted(path: Keys) -> str:
    """A path for people: `agents.support.requests.rules[0].when`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += f".{step}" if text else step
    return text
