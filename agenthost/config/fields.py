"""What a field of the agenthost file is, and the tree of all of them that every other step looks things up in.

The fields themselves are written in `host_fields.py` and `agent_fields.py`, one entry each; the schemas, defaults,
`explain` and the reference page all come from there. Paths are dotted; `[]` stands for any item of a list, `*` for
any key of a mapping.

A new field touches: its entry in the table; `model` and `build`; a check where a schema cannot say it; a golden file;
the published files (`python -m agenthost.config.published`); the changelog.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum

from msgspec import Struct
from msgspec import field as struct_field
from msgspec.structs import replace


class Kind(Enum):
    """How a value is written and checked."""

    TEXT = "text"
    TEMPLATE = "text with placeholders"
    FLAG = "true or false"
    COUNT = "whole number"
    NUMBER = "number"
    DURATION = "duration"
    SIZE = "size"
    RATIO = "ratio"
    CHOICE = "one of"
    CALLABLE = "module:attribute"
    TEXTS = "list of texts"
    TEXT_MAP = "mapping of texts"
    FREE_MAP = "mapping"
    SECTION = "section"
    LIST = "list of sections"
    CATALOG = "mapping of sections"


class Apply(Enum):
    """What a change of a field means for a running host."""

    LIVE = "L"
    REGISTRATION = "R"
    GENERATION = "G"
    BASE = "B"

    @property
    def meaning(self) -> str:
        return {
            Apply.LIVE: "live: the next request sees it",
            Apply.REGISTRATION: "a new registration is opened, then the old one closes",
            Apply.GENERATION: "a new generation of the agent starts; running jobs keep the old one",
            Apply.BASE: "the base template is started anew; running jobs keep the old one",
        }[self]


class Unset(Enum):
    """Marks a field without a second default; None is a default of its own."""

    UNSET = "unset"


UNSET = Unset.UNSET
Default = None | bool | int | float | str | tuple[str, ...] | Mapping[str, object]


class Field(Struct, frozen=True, kw_only=True):
    """One key of the file.

    `default` and `dev_default` are values as a user would write them; `default_text` says what holds where the
    default is no constant. `words` are accepted beside the kind's own spelling (`forever`). `short` names the key
    that a bare scalar stands for where a section is expected. `choices` are the allowed values of a CHOICE, or of
    the items of TEXTS. `positive`: zero makes no sense; for measures and numbers.
    """

    path: str
    kind: Kind
    description: str
    default: Default = None
    dev_default: Default | Unset = UNSET
    default_text: str = ""
    apply: Apply | None = None
    choices: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    positive: bool = False
    minimum: float | None = None
    maximum: float | None = None
    short: str = ""
    secret: bool = False
    required: bool = False
    examples: tuple[object, ...] = ()

    @property
    def name(self) -> str:
        """The last part of the path: the key itself."""
        return self.path.rpartition(".")[2].removesuffix("[]")


class Spec(Struct, frozen=True, kw_only=True):
    """A field with the fields below it. For a LIST or CATALOG, `children` are those of each item."""

    field: Field
    children: "Mapping[str, Spec]" = struct_field(default_factory=dict)

    def child(self, key: str | int) -> "Spec | None":
        """The spec of the value at `key` below this one; for lists and catalogs that of any item."""
        if self.field.kind in _ITEM_MARKS:
            return Spec(field=_item_of(self.field), children=self.children)
        return self.children.get(str(key))


_ITEM_MARKS = {Kind.LIST: "[]", Kind.CATALOG: ".*", Kind.TEXTS: "[]", Kind.TEXT_MAP: ".*"}


def _item_of(parent: Field) -> Field:
    kind = Kind.SECTION if parent.kind in (Kind.LIST, Kind.CATALOG) else Kind.CHOICE if parent.choices else Kind.TEXT
    path = parent.path + _ITEM_MARKS[parent.kind]
    return replace(parent, path=path, kind=kind, default=None, dev_default=UNSET, required=False)


def build_spec(root: Field, fields: Iterable[Field]) -> Spec:
    """Arrange a flat table as a tree below `root`. Raises KeyError for a field whose parent is missing."""
    below: dict[str, list[Field]] = {"": []}
    for entry in fields:
        path = _plain(entry.path)
        below[path.rpartition(".")[0]].append(entry)
        below[path] = []

    def tree(entry: Field, path: str) -> Spec:
        children = {child.name: tree(child, _plain(child.path)) for child in below[path]}
        return Spec(field=entry, children=children)

    return tree(root, "")


def _plain(path: str) -> str:
    """A path without the marks for items: `requests.rules[].name` → `requests.rules.name`."""
    return path.replace("[]", "").replace(".*", "")


def fields_along(spec: Spec, path: str) -> Iterator[Field]:
    """The fields of the keys on the dotted way to `path` below `spec`, as far as they are known, outermost first."""
    for name in path.split("."):
        child = spec.children.get(name)
        if child is None:
            return
        spec = child
        yield child.field


def descend(spec: Spec, path: str = "") -> Iterator[tuple[str, Spec]]:
    """Every spec below `spec` with its dotted path, parents first."""
    for name, child in spec.children.items():
        here = f"{path}.{name}" if path else name
        yield here, child
        mark = _ITEM_MARKS.get(child.field.kind, "")
        yield from descend(child, here + mark)
