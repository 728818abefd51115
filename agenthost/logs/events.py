"""How agenthost itself logs, in any process: a constant event text with fields, carried by a standard log record.

    log = get_logger("dispatch").bind(agent="support")
    log.info("registered", worker_id=worker_id)

Whoever has a handler of their own sees an ordinary record; our formatters also read its fields.
"""

import logging
import sys
from types import TracebackType

from agenthost.logs.levels import TRACE

FIELDS = "agenthost_fields"  # the attribute of a log record that holds the fields of an event
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


def get_logger(name: str) -> "EventLogger":
    """The logger `agenthost.<name>` without bound fields."""
    return EventLogger(logging.getLogger(f"agenthost.{name}"), {})


class EventLogger:
    """Logs events: `event` is a constant text, what varies goes into fields (JSON values, never a secret).

    `exc_info` adds a traceback: an exception, or True for the one being handled.
    """

    __slots__ = ("_fields", "_logger")

    def __init__(self, logger: logging.Logger, fields: dict[str, object]) -> None:
        self._logger = logger
        self._fields = fields

    def bind(self, **fields: object) -> "EventLogger":
        """A logger that adds these fields to each event; a field given at the event wins."""
        return EventLogger(self._logger, {**self._fields, **fields})

    def trace(self, event: str, /, *, exc_info: BaseException | bool | None = None, **fields: object) -> None:
        self._log(TRACE, event, exc_info, fields)

    def debug(self, event: str, /, *, exc_info: BaseException | bool | None = None, **fields: object) -> None:
        self._log(logging.DEBUG, event, exc_info, fields)

    def info(self, event: str, /, *, exc_info: BaseException | bool | None = None, **fields: object) -> None:
        self._log(logging.INFO, event, exc_info, fields)

    def warning(self, event: str, /, *, exc_info: BaseException | bool | None = None, **fields: object) -> None:
        self._log(logging.WARNING, event, exc_info, fields)

    def error(self, event: str, /, *, exc_info: BaseException | bool | None = None, **fields: object) -> None:
        self._log(logging.ERROR, event, exc_info, fields)

    def critical(self, event: str, /, *, exc_info: BaseException | bool | None = None, **fields: object) -> None:
        self._log(logging.CRITICAL, event, exc_info, fields)

    def _log(self, level: int, event: str, exc_info: BaseException | bool | None, fields: dict[str, object]) -> None:
        self._logger.disabled = False  # `dictConfig` disables, by default, all loggers that it does not name
        if not self._logger.isEnabledFor(level):
            return
        extra = {FIELDS: {**self._fields, **fields}}
        record = self._logger.makeRecord(self._logger.name, level, "", 0, event, (), _triple(exc_info), extra=extra)
        self._logger.handle(record)


def _triple(exc_info: BaseException | bool | None) -> ExcInfo | None:
    error = sys.exception() if exc_info is True else exc_info
    if isinstance(error, BaseException):
        return type(error), error, error.__traceback__
    return None
