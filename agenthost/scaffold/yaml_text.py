"""Writes an agenthost file that people like to go on with: keys in their usual order, notes as comments. Pure."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from agenthost.scaffold.translation import Translation

SCHEMA_LINE = "# yaml-language-server: $schema=./schemas/agenthost.schema.json"
MAX_FLOW_WIDTH = 100
_ORDER = (
    "agent_name",
    "type",
    "entrypoint",
    "prewarm",
    "session_end",
    "livekit",
    "env_file",
    "preload",
    "start_method",
    "permissions",
    "requests",
    "load",
    "num_idle_processes",
    "limits",
    "drain_timeout",
    "log_level",
    "http",
    "profiles",
)


def render_file(translation: Translation, *, source: str) -> str:
    """The text of the file; `source` is the script that it was made from."""
    lines = [
        SCHEMA_LINE,
        f"# Made from {source} by `agenthost init`. Check it with `agenthost validate`.",
        "version: 1",
    ]
    for key in sorted(translation.keys, key=_ORDER.index):
        lines += _entry(key, translation.keys[key])
    if translation.notes:
        lines += ["", "# Not taken over:"]
        lines += [f"# - {note}" for note in translation.notes]
    return "\n".join(lines) + "\n"


def _entry(key: str, value: Any, indent: str = "") -> Iterator[str]:
    flow = f"{indent}{key}: {_flow(value)}"
    if not isinstance(value, Mapping) or len(flow) <= MAX_FLOW_WIDTH:
        yield flow
        return
    yield f"{indent}{key}:"
    for inner, child in value.items():
        yield from _entry(inner, child, f"{indent}  ")


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{key}: {_flow(child)}" for key, child in value.items()) + " }"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(_flow(item) for item in value) + "]"
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6)
    if isinstance(value, str) and (text[0] in "'\"" or "${" in value):  # inside `{ }` a bare `${…}` is no text
        return json.dumps(value, ensure_ascii=False)
    return text.removesuffix("\n").removesuffix("\n...")
