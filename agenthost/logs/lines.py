"""`LogLine`: one line of the log as plain values, made from a log record where it was logged, written elsewhere.

Runs in every process (standard library only). Turning a record into a line at once, on the thread that logs, means
that nothing later sees a mutable object of the user, an exception, or a frame.
"""

import json
import logging
import math
from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from agenthost.logs.events import FIELDS
from agenthost.logs.tracebacks import format_traceback
from agenthost.texts import cut, encodable, to_json

MAX_LINE = 64 * 1024  # bytes of one line, from a job's first byte to the log's last
MAX_KEY = 256  # characters of a field's name
TRACEBACK = "agenthost_traceback"  # the attribute of a record whose traceback was already text when it reached us
_DEPTH = 6
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", FIELDS, TRACEBACK}


class LogLine(Struct, frozen=True, kw_only=True):
    """`created` is in seconds since the epoch, `level` the number; `fields` are JSON values in the order given."""

    created: float
    level: int
    logger: str
    message: str
    fields: Mapping[str, object]
    traceback: str = ""


def line_of(record: logging.LogRecord, context: Mapping[str, object], *, user_code: bool) -> LogLine:
    """The line of a record: `context` first, then the event's fields, then what `extra=` added to the record.

    An event's field `traceback` is the line's traceback, for people to read as one.

    `user_code`: leave our own frames out of the traceback. A record whose arguments do not fit its message is told
    as it is: a mistake in a log call must not cost the line.
    """
    extra = {key: value for key, value in vars(record).items() if key not in _STANDARD}
    event = dict(getattr(record, FIELDS, {}))
    told = str(event.pop("traceback", ""))  # another process's, as text
    fields = {**context, **event, **extra}
    return LogLine(
        created=record.created,
        level=record.levelno,
        logger=cut(encodable(str(record.name)), MAX_KEY),
        message=_fit(_message(record)),
        fields={_key(key): plain(value) for key, value in fields.items()},
        traceback=_traceback(record, told, user_code=user_code),
    )


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # whatever the __str__ of a user's object, or a wrong placeholder, raises
        return f"{record.msg!r} with arguments that do not fit it ({type(error).__name__})"


def _traceback(record: logging.LogRecord, told: str, *, user_code: bool) -> str:
    text = str(getattr(record, TRACEBACK, "") or record.exc_text or told)
    if record.exc_info and record.exc_info[1] is not None:
        text = format_traceback(record.exc_info[1], user_code=user_code)
    parts = (text, record.stack_info or "")
    return _fit("\n".join(part for part in parts if part))


def _fit(text: str) -> str:
    return encodable(cut(text))


def _key(key: object) -> str:
    return cut(encodable(str(key)), MAX_KEY)


def plain(value: object, depth: int = _DEPTH) -> object:
    """A snapshot of `value` that JSON can say: what it cannot (objects, NaN, deep nesting) becomes its text."""
    if value is None or (isinstance(value, int) and value.bit_length() <= 64):
        return value
    if isinstance(value, str):
        return _fit(str(value))
    if isinstance(value, float) and math.isfinite(value):
        return value
    if depth and isinstance(value, Mapping):
        return {_key(key): plain(item, depth - 1) for key, item in list(value.items())}
    if depth and isinstance(value, list | tuple | set | frozenset):
        return [plain(item, depth - 1) for item in list(value)]
    try:
        return _fit(str(value))
    except Exception as error:  # a user's __str__
        return f"<{type(value).__name__}: its text raised {type(error).__name__}>"


def encode_line(line: LogLine) -> bytes:
    """One line of JSON with a newline, at most MAX_LINE bytes: too long texts are cut with a note, then fields go."""
    limit = MAX_LINE
    data = _encode(line)
    while len(data) > MAX_LINE and limit > 256:
        limit //= 2
        data = _encode(_shortened(line, limit))
    if len(data) > MAX_LINE:
        data = _encode(replace(_shortened(line, limit), fields={"fields_cut": len(line.fields)}))
    return data


def decode_line(data: bytes) -> LogLine:
    """The opposite of `encode_line`. Raises ValueError for anything else (user code can write to the pipe, too)."""
    try:
        body = json.loads(data)
    except RecursionError:
        body = None
    match body:
        case [
            int() | float() as created,
            int() as level,
            str() as logger,
            str() as message,
            str() as text,
            dict() as own,
        ]:
            return LogLine(created=created, level=level, logger=logger, message=message, traceback=text, fields=own)
        case _:
            raise ValueError(f"not a log line: {data[:80]!r}")


def _encode(line: LogLine) -> bytes:
    body = [line.created, line.level, line.logger, line.message, line.traceback, dict(line.fields)]
    return to_json(body).encode() + b"\n"


def _shortened(line: LogLine, limit: int) -> LogLine:
    fields = {key: cut(value, limit) if isinstance(value, str) else value for key, value in line.fields.items()}
    return replace(line, message=cut(line.message, limit), traceback=cut(line.traceback, limit), fields=fields)
