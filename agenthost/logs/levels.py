"""The six log levels and who logs at which; runs in every process of ours, so it needs the standard library only."""

import logging
from collections.abc import Mapping

TRACE = 5
LEVELS: Mapping[str, int] = {
    "TRACE": TRACE,
    "DEBUG": logging.DEBUG,
    "INFO": logging.INFO,
    "WARNING": logging.WARNING,
    "ERROR": logging.ERROR,
    "CRITICAL": logging.CRITICAL,
}
logging.addLevelName(TRACE, "TRACE")

# Libraries that tell each step at DEBUG or INFO: one request of a user's agent would fill the screen.
QUIET: Mapping[str, str] = dict.fromkeys(
    (
        "aiohttp",
        "asyncio",
        "filelock",
        "grpc",
        "hpack",
        "httpcore",
        "httpx",
        "livekit",
        "numba",
        "openai",
        "urllib3",
        "watchdog",
        "websockets",
    ),
    "WARNING",
)


def level_name(level: int) -> str:
    """The name of the nearest of our six levels at or below `level` (a library's own level 25 is an INFO)."""
    reached = [name for name, number in LEVELS.items() if number <= level]
    return reached[-1] if reached else "TRACE"


class LevelSetter:
    """Sets the levels of this process's loggers, and takes back what an earlier `apply` set."""

    def __init__(self) -> None:
        self._set: tuple[str, ...] = ()
        self._applied: tuple[str, Mapping[str, str]] | None = None

    def apply(self, level: str, levels: Mapping[str, str]) -> None:
        """`level` for all, `levels` (logger name → level name) for some; libraries in QUIET unless listed there.

        A library is also quiet when `level` is above WARNING: then `level` holds for it.
        """
        quiet = QUIET if LEVELS[level] < logging.WARNING else {}
        wanted = {**quiet, **levels}
        for name in self._set:
            if name not in wanted:
                _set(logging.getLogger(name), logging.NOTSET)
        for name, own in wanted.items():
            _set(logging.getLogger(name), LEVELS[own])
        _set(logging.getLogger(), LEVELS[level])
        self._set = tuple(wanted)
        self._applied = (level, dict(levels))

    def applied(self, level: str, levels: Mapping[str, str]) -> bool:
        """Whether this is what was set last; user code may have set something else since."""
        return self._applied == (level, levels)

    def reset(self) -> None:
        """Take back all that was set, except the root logger's level."""
        for name in self._set:
            _set(logging.getLogger(name), logging.NOTSET)
        self._set = ()
        self._applied = None


def _set(logger: logging.Logger, level: int) -> None:
    """Only where it differs: `setLevel` writes to every logger there is, and a fork copies what is written."""
    if logger.level != level:
        logger.setLevel(level)
