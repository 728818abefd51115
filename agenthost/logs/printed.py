"""What printed text says about itself: where a record begins, its level, and the fields of a JSON object. Pure.

Loggers that know nothing of `logging` print: loguru to stderr, structlog JSON to stdout, libraries of other languages
both. Each of their lines is a record, and says how bad it is; lines that say nothing of the kind go with the one
before them.
"""

import json
import logging
import re
from collections.abc import Callable, Mapping

from msgspec import Struct

from agenthost.logs.levels import TRACE
from agenthost.logs.lines import plain
from agenthost.logs.splitting import continues_traceback

TRACEBACK_HEAD = "Traceback (most recent call last)"

_FIELDS = 100
_OURS = frozenset({"agent", "job_id", "room", "pid"})  # never a process's to say, also before it has a job
_MESSAGE = ("message", "event", "msg")
_LEVEL = ("level", "severity", "levelname")
_TRACEBACK = ("exception", "traceback", "exc_info", "stack")

_NAMES = {
    "trace": TRACE,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "success": logging.INFO,
    "notice": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "err": logging.ERROR,
    "fatal": logging.CRITICAL,
    "critical": logging.CRITICAL,
    "panic": logging.CRITICAL,
}
_LETTERS = {"I": logging.INFO, "W": logging.WARNING, "E": logging.ERROR, "F": logging.CRITICAL}  # glog's, and grpc's

_ANY = "|".join(sorted(_NAMES, key=len, reverse=True))
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_TIME = re.compile(
    r"[\[(]?(?:"
    r"\d{4}[-/.]\d\d[-/.]\d\d(?=[T\s,\])])"  # 2026-11-29 …
    r"|\d\d[-/.]\d\d[-/.]\d{2,4}[ T]\d\d:\d\d"  # 29/11/2026 18:20
    r"|\d\d:\d\d:\d\d(?=[\s.,\])])"  # 18:20:41.107
    r"|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d"  # Nov 29 18:20:41
    r")"
)
_GLOG = re.compile(r"([IWEF])\d{4} \d\d:\d\d:\d\d")
_FIRST = re.compile(
    rf"\[\s*(?i:({_ANY}))\s*\]|({_ANY.upper()})(?=[\s:|\]-]|$)|(?i:({_ANY}))(?=:)|(?i:level=\"?({_ANY})\b)"
)
_LATER = re.compile(
    rf"\[\s*(?i:({_ANY}))\s*\]|(?<![\w.=/-])({_ANY.upper()})(?![\w=/.])|(?i:\b(?:level|lvl|severity)=\"?({_ANY})\b)"
)
_HEAD = 120  # characters in which a level is looked for


class Printed(Struct, frozen=True, kw_only=True):
    """One record of what was printed. `level` None: it says none."""

    message: str
    level: int | None = None
    fields: Mapping[str, object] = {}
    traceback: str = ""


def records(lines: list[bytes]) -> list[bytes]:
    """`lines` as records: one that begins with a time or a level, or is a JSON object, begins another."""
    found: list[list[bytes]] = []
    for line in lines:
        if found and not _begins(line, found[-1][-1]):
            found[-1].append(line)
        else:
            found.append([line])
    return [b"\n".join(each) for each in found]


def read(text: str) -> Printed:
    """What the record says of itself; `text` as it is, where that is nothing."""
    if text.startswith("{") and (said := _object(text)) is not None:
        return said
    return Printed(message=text, level=_level(text[: _HEAD + 40]))


def _begins(line: bytes, before: bytes) -> bool:
    text = _COLOURS.sub("", line[: _HEAD + 40].decode(errors="replace"))
    if _TIME.match(text) or _GLOG.match(text):
        return True
    if continues_traceback(before):
        return False  # this is how it ends: `Error: …`
    return bool(_FIRST.match(text)) or (line.startswith(b"{") and _object(line.decode(errors="replace")) is not None)


def _level(text: str) -> int | None:
    text = _COLOURS.sub("", text)
    if glog := _GLOG.match(text):
        return _LETTERS[glog[1]]
    timed = _TIME.match(text)
    found = _LATER.search(text, timed.end(), timed.end() + _HEAD) if timed else _FIRST.match(text)
    return _NAMES[next(name for name in found.groups() if name).lower()] if found else None


def _object(text: str) -> Printed | None:
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(body, dict):
        return None
    message = _take(body, _MESSAGE, lambda _: True)
    level = _take(body, _LEVEL, lambda name: name.lower() in _NAMES)
    traceback = _take(body, _TRACEBACK, lambda told: TRACEBACK_HEAD in told)
    fields = {f"{key}_" if key in _OURS else key: plain(value) for key, value in list(body.items())[:_FIELDS]}
    if len(body) > _FIELDS:
        fields["fields_cut"] = len(body) - _FIELDS
    return Printed(
        message=text if message is None else message,
        level=None if level is None else _NAMES[level.lower()],
        fields=fields,
        traceback=traceback or "",
    )


def _take(body: dict[str, object], keys: tuple[str, ...], fits: Callable[[str], bool]) -> str | None:
    """The first of `keys` that has a text which `fits`, taken out of `body`."""
    for key in keys:
        value = body.get(key)
        if isinstance(value, str) and fits(value):
            del body[key]
            return value
    return None
