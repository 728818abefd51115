"""The field table as a JSON Schema for editors: completes and documents every key, and accepts the short forms.

Looser than the canonical schema on purpose: an editor sees the file before interpolation, profiles and short forms.
`schemas/agenthost.schema.json` is this, written to a file.
"""

import json
from collections.abc import Mapping
from typing import Any

from agenthost.config import condition_schema
from agenthost.config.fields import UNSET, Field, Kind, Spec
from agenthost.config.host_fields import FILE
from agenthost.config.units import DURATION_PATTERN, RATIO_PATTERN, SIZE_PATTERN

Schema = dict[str, Any]

DIALECT = "http://json-schema.org/draft-07/schema#"  # what yaml-language-server knows best

_PATTERNS = {Kind.DURATION: DURATION_PATTERN, Kind.SIZE: SIZE_PATTERN, Kind.RATIO: RATIO_PATTERN}
_EXAMPLES = {Kind.DURATION: "30s", Kind.SIZE: "512MB", Kind.RATIO: "70%"}
_FREE_MAPS = {"requests.rules[].when": "condition", "tests[].request": "request"}
_REFERENCE: Schema = {"type": "string", "pattern": r"\$\{"}
_OBJECTS = {Kind.SECTION, Kind.CATALOG, Kind.FREE_MAP, Kind.TEXT_MAP}


def editor_schema() -> Schema:
    """The whole schema, ready to be written as JSON."""
    agent = FILE.children["agents"].children
    host = {name: spec for name, spec in FILE.children.items() if agent.get(name) is not spec}
    definitions = {f"agent.{name}": _property(spec) for name, spec in agent.items()}
    definitions |= {
        f"host.{name}": _property(spec) for name, spec in host.items() if name not in ("agents", "profiles")
    }
    definitions["agent"] = _references(agent, "agent.")
    definitions["agents"] = _catalog(FILE.children["agents"], {"$ref": "#/definitions/agent"})
    in_profile = _references(FILE.children["profiles"].children)
    return {
        "$schema": DIALECT,
        "title": "agenthost",
        "description": "One YAML file runs LiveKit agents.",
        "type": "object",
        **_references(FILE.children),
        "patternProperties": {"^x-": {"description": "Ignored; a place for anchors."}},
        "definitions": {
            **definitions,
            **condition_schema.definitions(),
            "profiles": _catalog(FILE.children["profiles"], in_profile),
        },
    }


def _references(children: Mapping[str, Spec], prefix: str = "") -> Schema:
    """A section whose keys are defined once for the file, its agents and its profiles."""
    agent = FILE.children["agents"].children
    properties = {}
    for name, spec in children.items():
        shared = name in ("agents", "profiles")
        place = prefix or ("" if shared else "agent." if agent.get(name) is spec else "host.")
        properties[name] = {"$ref": f"#/definitions/{place}{name}"}
    return {"properties": properties, "additionalProperties": False}


def _catalog(spec: Spec, item: Schema) -> Schema:
    short: list[Schema] = [{"type": "string"}] if spec.field.short else []
    inner = {"anyOf": [{"type": ["object", "null"], **item} if "$ref" not in item else item, {"type": "null"}, *short]}
    return _documented(spec.field) | {"type": ["object", "null"], "additionalProperties": inner}


def editor_schema_text() -> str:
    """The text of `schemas/agenthost.schema.json`."""
    return json.dumps(editor_schema(), indent=2, ensure_ascii=False) + "\n"


def _section(spec: Spec) -> Schema:
    properties = {name: _property(child) for name, child in spec.children.items()}
    required = [name for name, child in spec.children.items() if child.field.required]
    schema: Schema = {"properties": properties, "additionalProperties": False}
    return schema | ({"required": required} if required else {})


def _property(spec: Spec) -> Schema:
    field = spec.field
    schema = _documented(field)
    choices = [_shape(spec), *_short_forms(spec), {"type": "null"}]
    if field.kind not in _OBJECTS and field.kind is not Kind.LIST and not _any_text(field):
        choices.append(_REFERENCE)
    return schema | {"anyOf": choices}


def _any_text(field: Field) -> bool:
    return field.kind in (Kind.TEXT, Kind.TEMPLATE, Kind.CALLABLE)


def _documented(field: Field) -> Schema:
    schema: Schema = {"description": _description(field)}
    if field.default is not None and not field.default_text:
        schema["default"] = _plain(field.default)
    if field.examples:
        schema["examples"] = [_plain(example) for example in field.examples]
    return schema


def _description(field: Field) -> str:
    parts = [field.description]
    if field.default_text:
        parts.append(f"Default: {field.default_text}.")
    elif field.default is not None and field.dev_default is not UNSET:
        parts.append(f"Default: {_text(field.default)}; under `dev` {_text(field.dev_default)}.")
    if field.apply is not None:
        parts.append(
            f"A change is {field.apply.meaning}."
            if field.apply.value == "L"
            else f"On a change, {field.apply.meaning}."
        )
    return " ".join(parts)


def _shape(spec: Spec) -> Schema:
    field = spec.field
    match field.kind:
        case Kind.SECTION:
            return {"type": "object", **_section(spec)}
        case Kind.LIST:
            return {"type": "array", "items": {"type": "object", **_section(spec)}}
        case Kind.TEXTS:
            return {"type": "array", "items": _texts(field)}
        case Kind.TEXT_MAP:
            item: Schema = _texts(field) if field.choices else {"type": ["string", "number", "null"]}
            return {"type": "object", "additionalProperties": item}
        case _:
            return _scalar(field)


def _scalar(field: Field) -> Schema:
    match field.kind:
        case Kind.FREE_MAP:
            return (
                {"$ref": f"#/definitions/{_FREE_MAPS[field.path]}"} if field.path in _FREE_MAPS else {"type": "object"}
            )
        case Kind.CHOICE:
            return {"enum": list(field.choices)}
        case Kind.FLAG:
            return {"type": "boolean"}
        case Kind.COUNT | Kind.NUMBER:
            schema: Schema = {"type": "integer" if field.kind is Kind.COUNT else "number"}
            schema |= {"exclusiveMinimum": 0} if field.positive else {}
            schema |= {"minimum": field.minimum} if field.minimum is not None else {}
            return schema | ({"maximum": field.maximum} if field.maximum is not None else {})
        case Kind.DURATION | Kind.SIZE:
            return {"type": "string", "pattern": f"^{_PATTERNS[field.kind]}$", "minLength": 2}
        case Kind.RATIO:
            percent = {"type": "string", "pattern": f"^{RATIO_PATTERN}$"}
            return {"anyOf": [percent, {"type": "number", "minimum": 0, "exclusiveMaximum": 1}]}
        case _:
            return {"type": "string"}


def _short_forms(spec: Spec) -> list[Schema]:
    field = spec.field
    forms: list[Schema] = [{"enum": list(field.words)}] if field.words and not _any_text(field) else []
    if field.short and field.kind is Kind.SECTION:
        forms.append(_shape(spec.children[field.short]))
    if field.kind is Kind.TEXTS:
        forms.append(_texts(field))
    return forms


def _texts(field: Field) -> Schema:
    return {"enum": list(field.choices)} if field.choices else {"type": "string"}


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _text(value: object) -> str:
    return "nothing" if value in (None, (), {}) else f"`{json.dumps(_plain(value)).strip(chr(34))}`"
