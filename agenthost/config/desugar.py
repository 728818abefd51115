"""Short forms → the one canonical form that the schema, the defaults and the classes of `model` know.

`support: app.support:entrypoint` becomes `support: {entrypoint: app.support:entrypoint}`, `preload: numpy` a list of
one, `recovery: true` a section. Only the shape changes here; wrong values are left for the schema to report. The
made-up sections keep the place of what was written. Pure.
"""

from msgspec.structs import replace

from agenthost.config.fields import Field, Kind, Spec
from agenthost.config.host_fields import FILE
from agenthost.config.nodes import Node
from agenthost.config.scalars import read_scalar


def desugar(root: Node) -> Node:
    """The whole file in canonical form, without the `x-*` keys that only hold anchors."""
    entries = {key: child for key, child in root.entries.items() if not key.startswith("x-")}
    return _section(replace(root, value=entries), FILE)


def _canonical(node: Node, spec: Spec) -> Node:
    match spec.field.kind:
        case Kind.SECTION:
            return _section(_expand(node, spec.field), spec)
        case Kind.CATALOG if node.entries:
            return _with_children(node, spec)
        case Kind.LIST if node.items:
            item = spec.child(0)
            return replace(node, value=tuple(_canonical(child, item) for child in node.items)) if item else node
        case Kind.TEXTS if node.is_scalar and node.value is not None:
            # A word such as `all` is what no list at all means: null, back to the default.
            every = node.value in spec.field.words
            return replace(node, value=None if every else (replace(node, key=None),))
    return node


def _expand(node: Node, field: Field) -> Node:
    if not field.short or not node.is_scalar or node.value is None:
        return node
    return replace(node, value={field.short: node})


def _section(node: Node, spec: Spec) -> Node:
    if not node.entries:
        return node
    made = _with_children(node, spec)
    if spec.field.path == "recovery" and "enabled" not in made.entries:
        # Whoever writes `{sweep: …}` wants recovery.
        enabled = replace(node, value=True, text="true")
        return replace(made, value={"enabled": enabled, **made.entries})
    return made


def _with_children(node: Node, spec: Spec) -> Node:
    entries = {}
    for key, child in node.entries.items():
        below = spec.child(key)
        entries[key] = _canonical(child, below) if below else child
    return replace(node, value=entries)


def coerce(node: Node, spec: Spec = FILE) -> Node:
    """Give interpolated values the type of their field, and plain numbers in mappings of texts their text."""
    if node.is_scalar:
        return _coerce_scalar(node, spec.field.kind)
    if isinstance(node.value, tuple):  # an empty list too: it must not become an empty mapping
        item = spec.child(0)
        return replace(node, value=tuple(coerce(child, item) for child in node.items)) if item else node
    if spec.field.kind is Kind.TEXT_MAP:
        return replace(node, value={key: _as_text(child) for key, child in node.entries.items()})
    if spec.field.kind is Kind.FREE_MAP:
        return node
    entries = {}
    for key, child in node.entries.items():
        below = spec.child(key)
        entries[key] = coerce(child, below) if below else child
    return replace(node, value=entries)


def _coerce_scalar(node: Node, kind: Kind) -> Node:
    typed = kind in (Kind.FLAG, Kind.COUNT, Kind.NUMBER, Kind.RATIO)
    if not typed or not node.references or not isinstance(node.value, str):
        return node
    value = read_scalar(node.value.strip())
    return node if value is None else replace(node, value=value)


def _as_text(node: Node) -> Node:
    number = isinstance(node.value, (int, float)) and not isinstance(node.value, bool)
    return replace(node, value=node.text, quoted=True) if number else node
