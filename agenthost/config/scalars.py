"""The scalar table: what an unquoted YAML scalar means here. Stricter than YAML 1.1, so that nothing is a surprise.

| written | is |
| --- | --- |
| `null`, `~`, nothing | null |
| `true`, `false` | a boolean |
| `7`, `-7` | a whole number (no leading zeros, no `0x`, no `_`, at most 18 digits) |
| `0.5`, `.5`, `1e3` | a number |
| everything else (`yes`, `on`, `010`, `22:22`, `2026-03-02`) | text |
"""

import re
from collections.abc import Mapping

from agenthost.config.nodes import Scalar

_WORDS: dict[str, Scalar] = {"": None, "~": None, "null": None, "true": True, "false": False}
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})", re.ASCII)
_NUMBER = re.compile(r"-?((0|[1-9][0-9]{0,17})(\.[0-9]{1,30})?|\.[0-9]{1,30})([eE][+-]?[0-9]{1,2})?", re.ASCII)


def read_scalar(text: str) -> Scalar:
    """The value of an unquoted scalar."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _NUMBER.fullmatch(text):
        return float(text)
    return text


def write_scalar(value: Scalar) -> str:
    """The shortest YAML that reads back as exactly this value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value if _needs_no_quotes(value) else quote(value)
    return repr(value)


def quote(text: str) -> str:
    """Text in double quotes, escaped as YAML wants it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    return '"' + _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", escaped) + '"'


def write_flow(value: object) -> str:
    """Plain data in one line of YAML: `{ room.name: "vip-*", time.hour: [8, 9] }`."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{write_scalar(str(key))}: {write_flow(item)}" for key, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(write_flow, value))}]"
    return write_scalar(value if value is None or isinstance(value, bool | int | float | str) else str(value))


_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


_PLAIN = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./+-]*(:[A-Za-z0-9_./+-]+)*|[0-9]+%", re.ASCII)


def _needs_no_quotes(text: str) -> bool:
    # Words that other YAML readers take for booleans or null are quoted too: the file is read by more than us.
    foreign = text.lower() in {"yes", "no", "on", "off", "y", "n", "true", "false", "null"}
    return not foreign and isinstance(read_scalar(text), str) and _PLAIN.fullmatch(text) is not None
