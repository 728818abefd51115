"""The log of a process that runs user code: each record becomes one line on a pipe that the host reads.

Runs in templates, job processes and the hook process; standard library only, and safe to use after a fork.

User code may log as it likes. Loggers and levels of its own are respected; handlers of its own that write somewhere
else (a file, an error tracker) stay. A handler of its own that writes to stdout or stderr would say each line a
second time, because the host reads those too: it is passed over for the records that reach the root logger, and only
for those. Code that removes our handler (`basicConfig(force=True)`, a `dictConfig`) gets its lines as what it then
prints: text without level. Our own lines take their way all the same, whatever it does.
"""

import logging
import sys
from collections.abc import Mapping
from typing import Any

from agenthost.logs.descriptors import write_all
from agenthost.logs.levels import LevelSetter
from agenthost.logs.lines import encode_line, line_of


def install(fd: int, *, level: str, levels: Mapping[str, str]) -> None:
    """From now on, every record of this process goes to `fd`.

    Called again (after a fork) it replaces what it installed before; levels that are as they were are not set again.
    The descriptor stays the caller's.
    """
    there = _HANDLER in logging.root.handlers
    _HANDLER.begin(fd)  # not a new one, whose locks and references each forked process would pay for
    if not there:
        _OURS.removeHandler(_HANDLER)
        logging.root.handlers.insert(0, _HANDLER)
    if not isinstance(logging.getLogRecordFactory(), _RecordFactory):
        logging.setLogRecordFactory(_RecordFactory(logging.getLogRecordFactory()))
    if not (there and _LEVELS.applied(level, levels)):
        _LEVELS.apply(level, levels)


def set_levels(level: str, levels: Mapping[str, str]) -> None:
    """Use other levels from now on; both as in the configuration (`log_level`, `log_levels`)."""
    _LEVELS.apply(level, levels)


def set_context_fields(fields: Mapping[str, object]) -> None:
    """Add these fields to every record from now on. The mapping itself is kept: changes to it show at once."""
    _HANDLER.context = fields


_LEVELS = LevelSetter()  # as process-wide as the root logger it sets


class _PipeHandler(logging.Handler):
    """Writes one line a record; its lock keeps the lines of threads apart."""

    def __init__(self) -> None:
        super().__init__()
        self.begin(-1)

    def begin(self, fd: int) -> None:
        """Write to `fd` from now on, and nothing of what was set before."""
        self._fd = fd
        self.context: Mapping[str, object] = {}

    def emit(self, record: logging.LogRecord) -> None:
        # A pipe that nobody reads any more has lost its host, and this process is about to end: nothing to report to.
        write_all(self._fd, encode_line(line_of(record, self.context, user_code=True)))


_HANDLER = _PipeHandler()
_OURS = logging.getLogger("agenthost")
"""Has it from when user code has removed it from the root logger."""

_PREFIX = f"{_OURS.name}."


class _RecordFactory:
    """Makes records as before, but first sees to it that no handler prints what the pipe says already.

    Handlers can be added at any time; the factory is what runs before the first of them sees a record.
    """

    def __init__(self, make: Any) -> None:
        self._make = make

    def __call__(self, name: str, *args: Any, **kwargs: Any) -> logging.LogRecord:
        if name.startswith(_PREFIX) and _HANDLER not in _handlers(name):
            _OURS.addHandler(_HANDLER)
        for handler in _handlers(name):
            if _prints(handler):
                handler.addFilter(_PASSED_OVER)
        record: logging.LogRecord = self._make(name, *args, **kwargs)
        return record


class _PassedOver(logging.Filter):
    """Lets a record through only when it does not reach the pipe."""

    def filter(self, record: logging.LogRecord) -> bool:
        return _HANDLER not in _handlers(record.name)


_PASSED_OVER = _PassedOver()


def _handlers(name: str) -> list[logging.Handler]:
    """All handlers that a record of logger `name` reaches."""
    logger: logging.Logger | None = logging.getLogger(name)
    found: list[logging.Handler] = []
    while logger is not None:
        found += logger.handlers
        logger = logger.parent if logger.propagate else None
    return found


def _prints(handler: logging.Handler) -> bool:
    """Whether a handler writes to this process's stdout or stderr (a StreamHandler, or rich's by its console)."""
    stream = getattr(handler, "stream", None) or getattr(getattr(handler, "console", None), "file", None)
    if stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        return stream is not None
    try:
        return stream is not None and stream.fileno() in (1, 2)
    except (AttributeError, OSError, ValueError):  # not a file, or closed
        return False
