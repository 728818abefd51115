"""Canonical nodes → Python values by the kind of their field: seconds, bytes, ratios, tuples. Pure.

Works on values that the schema has accepted; the same parsers decide there and here.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from agenthost.config.fields import Field, Kind, Spec
from agenthost.config.nodes import Node, data
from agenthost.config.units import parse_duration, parse_ratio, parse_size


def convert(node: Node | None, spec: Spec) -> Any:
    """The value of a node: sections become dicts by key, lists tuples, and null None."""
    if node is None or node.value is None:
        return None
    match spec.field.kind:
        case Kind.SECTION:
            return {key: convert(node.entries.get(key), child) for key, child in spec.children.items()}
        case Kind.LIST:
            item = spec.child(0)
            return tuple(convert(child, item) for child in node.items) if item else ()
        case Kind.FREE_MAP | Kind.CATALOG:
            return freeze(data(node))
        case Kind.TEXT_MAP:
            texts = {key: child.value for key, child in node.entries.items() if child.value is not None}
            return MappingProxyType(texts)
        case Kind.TEXTS:
            return tuple(child.value for child in node.items)
        case _:
            return _scalar(node.value, spec.field)


def freeze(value: Any) -> Any:
    """Plain data, read-only all the way down."""
    if isinstance(value, Mapping):
        return MappingProxyType({key: freeze(child) for key, child in value.items()})
    if isinstance(value, (list, tuple)):
        return tuple(freeze(child) for child in value)
    return value


def _scalar(value: Any, field: Field) -> Any:
    if value == "none" and "none" in field.words:
        return None
    if value == "forever" and "forever" in field.words:
        return math.inf
    match field.kind:
        case Kind.DURATION:
            return parse_duration(value)
        case Kind.SIZE:
            return parse_size(value)
        case Kind.RATIO:
            return parse_ratio(value)
        case Kind.NUMBER:
            return float(value)
        case Kind.COUNT:
            return int(value)  # to the schema `20.0` is a whole number, too
        case _:
            return value
