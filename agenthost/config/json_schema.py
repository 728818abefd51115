"""The field table as a JSON Schema: the canonical one, which the loader checks with.

It has neither anyOf nor references: each value has one shape (short forms are gone by then), so an error says one
thing. Durations, sizes and the like have a `format` of ours. Null is allowed everywhere: "back to the default".
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from agenthost.config.fields import Field, Kind, Spec, descend
from agenthost.config.host_fields import FILE
from agenthost.config.units import parse_duration, parse_ratio, parse_size

Schema = dict[str, Any]

_TYPES = {
    Kind.TEXT: "string",
    Kind.TEMPLATE: "string",
    Kind.CALLABLE: "string",
    Kind.CHOICE: "string",
    Kind.FLAG: "boolean",
    Kind.COUNT: "integer",
    Kind.NUMBER: "number",
    Kind.FREE_MAP: "object",
    Kind.TEXT_MAP: "object",
    Kind.SECTION: "object",
    Kind.CATALOG: "object",
    Kind.LIST: "array",
    Kind.TEXTS: "array",
}

_PARSERS: dict[Kind, Callable[[Any], object]] = {
    Kind.DURATION: parse_duration,
    Kind.SIZE: parse_size,
    Kind.RATIO: parse_ratio,
}


def has_format(value: object, field: Field) -> bool:
    """Whether a value is written as the field's kind, or one of its words, wants it. Null always is."""
    if value is None or value in field.words:
        return True
    if field.kind is Kind.COUNT:
        return isinstance(value, int) and not isinstance(value, bool) and value >= (field.minimum or 0)
    if not isinstance(value, (str, float)):
        return False
    try:
        measured = _PARSERS[field.kind](value)
    except (ValueError, TypeError):
        return False
    return bool(measured) or not field.positive


def formats() -> dict[str, Field]:
    """The `format` names that the schema uses, each with one field that stands for all of that format."""
    return {format_name(spec.field): spec.field for _, spec in descend(FILE) if format_name(spec.field)}


def format_name(field: Field) -> str:
    """`duration`, `duration or none` …; empty for kinds that JSON Schema can check by itself."""
    if field.kind in _PARSERS or (field.kind is Kind.COUNT and field.words):
        measure = f"positive {field.kind.name.lower()}" if field.positive else field.kind.name.lower()
        return " or ".join((measure, *field.words))
    return ""


@cache
def canonical_schema() -> Schema:
    """The schema of a whole file in canonical form, nothing merged into the agents yet."""
    return _schema(FILE, partial=False)


def _schema(spec: Spec, *, partial: bool) -> Schema:
    kind = spec.field.kind
    if format_name(spec.field):
        return {"format": format_name(spec.field)}
    schema: Schema = {"type": [_TYPES[kind], "null"], **_bounds(spec.field)}
    match kind:
        case Kind.CHOICE:
            schema = {"enum": [*spec.field.choices, None]}
        case Kind.SECTION:
            schema |= _section(spec, partial=partial)
        case Kind.CATALOG:
            inner = partial or spec.field.path == "profiles"
            schema["additionalProperties"] = {"type": ["object", "null"], **_section(spec, partial=inner)}
        case Kind.LIST:
            schema["items"] = {"type": "object", **_section(spec, partial=partial)}
        case Kind.TEXTS:
            schema["items"] = _texts(spec.field)
        case Kind.TEXT_MAP:
            schema["additionalProperties"] = _texts(spec.field, null=True)
        case _:
            pass  # the type alone says it
    return schema


def _section(spec: Spec, *, partial: bool) -> Schema:
    """`partial`: a profile, in which nothing is required because the file around it has the rest."""
    required = [] if partial else [name for name, child in spec.children.items() if child.field.required]
    properties = {name: _schema(child, partial=partial) for name, child in spec.children.items()}
    return {"properties": properties, "required": required, "additionalProperties": False}


def _texts(field: Field, *, null: bool = False) -> Schema:
    if field.choices:
        return {"enum": [*field.choices, None] if null else list(field.choices)}
    return {"type": ["string", "null"] if null else "string"}


def _bounds(field: Field) -> Schema:
    bounds: Schema = {"exclusiveMinimum": 0} if field.positive else {}
    if field.minimum is not None:
        bounds["minimum"] = field.minimum
    if field.maximum is not None:
        bounds["maximum"] = field.maximum
    return bounds
