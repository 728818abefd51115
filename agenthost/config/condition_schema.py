"""The part of the editor schema that documents conditions: every path of `when`, its matchers and groups. Pure."""

from typing import Any

from agenthost.config.conditions import GROUPS
from agenthost.config.matcher_parsing import OPERATORS
from agenthost.config.subjects import CHOICES, KINDS, SubjectKind

Schema = dict[str, Any]

DESCRIPTIONS = {
    "job.id": "The job's id.",
    "job.type": "room, publisher or participant.",
    "job.metadata": "The dispatch's metadata as a text; `job.metadata.a.b` looks into it as JSON.",
    "job.attributes": "One attribute of the dispatch: `job.attributes.NAME`, a text.",
    "job.dispatch_id": "The id of the dispatch that asked for the agent; empty for automatic dispatch.",
    "job.deployment": "The deployment that was asked for.",
    "room.name": "The room's name.",
    "room.sid": "The room's id on the server.",
    "room.metadata": "The room's metadata as a text; `room.metadata.a.b` looks into it as JSON.",
    "room.num_participants": "How many participants are in the room.",
    "room.max_participants": "How many the room admits; 0 for no limit.",
    "room.age": "How long the room has existed, a duration.",
    "participant.identity": "The participant's identity; for publisher and participant jobs.",
    "participant.name": "The participant's name; for publisher and participant jobs.",
    "participant.kind": "standard, sip, agent …; for publisher and participant jobs.",
    "participant.metadata": "The participant's metadata; `participant.metadata.a.b` looks into it as JSON.",
    "participant.attributes": "One attribute of the participant: `participant.attributes.NAME`, a text.",
    "agent.jobs": "How many jobs this agent has on this host.",
    "time.hour": 'The hour, 0 to 23, in the file\'s time zone: `"8..18"` is 8:00 to 17:59.',
    "time.weekday": "mon, tue, wed, thu, fri, sat or sun, in the file's time zone.",
    "time.date": "The date as 2026-12-24, in the file's time zone.",
    "sample": "A share of the rooms, always the same ones: `10%`.",
}

_GROUP_DESCRIPTIONS = {
    "any": "Holds when one of these conditions does.",
    "all": "Holds when all of these conditions do.",
    "not": "Holds when this condition does not.",
}
_OPERATOR_DESCRIPTIONS = {
    "gt": "Greater than.",
    "ge": "Greater than or equal to.",
    "lt": "Less than.",
    "le": "Less than or equal to.",
    "not": "Does not match this.",
    "exists": "Whether there is a value at all.",
    "in": "Is one of these.",
}
_CONDITION = {"$ref": "#/definitions/condition"}
_MATCHER = {"$ref": "#/definitions/matcher"}


def definitions() -> dict[str, Schema]:
    """`condition` for `when`, `request` for the requests of tests, and what both refer to."""
    return {"condition": _condition(), "matcher": _matcher(), "request": _request()}


def _condition() -> Schema:
    groups = {
        name: {"description": _GROUP_DESCRIPTIONS[name]}
        | (_not() if name == "not" else {"type": "array", "items": _CONDITION, "minItems": 1})
        for name in GROUPS
    }
    paths = {path: _path(path) for path, kind in KINDS.items() if kind is not SubjectKind.ATTRIBUTE}
    return {
        "description": "All of it must hold; empty always does.",
        "type": "object",
        "properties": {**paths, **groups},
        "patternProperties": _open_paths(_MATCHER),
        "additionalProperties": False,
    }


def _not() -> Schema:
    return {"allOf": [_CONDITION]}  # beside a bare $ref editors would not show the description


def _path(path: str) -> Schema:
    schema: Schema = {"description": DESCRIPTIONS[path], "allOf": [_MATCHER]}
    return schema | ({"examples": list(CHOICES[path])} if path in CHOICES else {})


def _open_paths(value: Schema) -> dict[str, Schema]:
    """Paths that go on with names of the user's own."""
    texts = [path for path in KINDS if path.endswith(".metadata")]
    attributes = [path for path, kind in KINDS.items() if kind is SubjectKind.ATTRIBUTE]
    return {
        f"^{path.replace('.', chr(92) + '.')}\\..+$": {"description": DESCRIPTIONS[path], "allOf": [value]}
        for path in (*texts, *attributes)
    }


def _matcher() -> Schema:
    operators = {name: {"description": _OPERATOR_DESCRIPTIONS[name], "allOf": [_MATCHER]} for name in OPERATORS}
    return {
        "description": 'A glob, a `/regex/`, a value, a list (any of), a range such as "8..18", or operators.',
        "anyOf": [
            {"type": ["string", "number", "boolean"]},
            {"type": "array", "items": _MATCHER, "minItems": 1},
            {"type": "object", "properties": operators, "additionalProperties": False, "minProperties": 1},
        ],
    }


def _request() -> Schema:
    anything: Schema = {}
    paths = {
        path: {"description": DESCRIPTIONS[path]} for path, kind in KINDS.items() if kind is not SubjectKind.ATTRIBUTE
    }
    return {
        "description": "The request, by the paths that rules use.",
        "type": "object",
        "properties": paths,
        "patternProperties": _open_paths(anything),
        "additionalProperties": False,
    }
