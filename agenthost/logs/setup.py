"""Starts and ends the host's log: one root handler → bounded queue → writer thread → standard output.

Runs in the host. Nothing that logs ever waits for the terminal, the pipe or the disk behind standard output.
"""

import logging
import os
import shutil
import threading
from collections.abc import Callable
from functools import partial
from typing import Literal, Protocol, TextIO

from agenthost.config.model import LogConfig
from agenthost.logs.banner import Banner
from agenthost.logs.descriptors import write_all
from agenthost.logs.events import get_logger
from agenthost.logs.jsonlines import JsonLines
from agenthost.logs.layout import PlainLines
from agenthost.logs.levels import LevelSetter
from agenthost.logs.lines import LogLine
from agenthost.logs.queue import Item, LineHandler, LineQueue
from agenthost.texts import encodable

STOP_SECONDS = 2.0
Command = Literal["dev", "start"]


class PeopleFormat(Protocol):
    """What renders for people, in a terminal or not: it can also lay out a banner."""

    def __call__(self, line: LogLine) -> str: ...

    def banner(self, banner: Banner) -> str: ...


Format = JsonLines | PeopleFormat


def start_logging(config: LogConfig, *, command: Command, stream: TextIO | None) -> "LogSystem":
    """Take over this process's root logger; everything logged goes to `stream` (a file with a descriptor, or None).

    Format auto: colours on a terminal under `dev`, the same columns without colour where there is no terminal, JSON
    lines under `start`. A stream that is or gets closed loses the lines, nothing else.
    """
    return LogSystem(config, command=command, output=_Output(stream))


class LogSystem:
    """The running log. `queue.dropped` counts the lines that were lost."""

    def __init__(self, config: LogConfig, *, command: Command, output: "_Output") -> None:
        self._command = command
        self._levels = LevelSetter()
        self._output = output
        self.queue = LineQueue()
        self._config = config
        self._writer = _Writer(self.queue, output, self._format_maker(config))
        self._root = logging.getLogger()
        self._before = (self._root.handlers[:], self._root.level)
        self._root.handlers[:] = [LineHandler(self.queue)]
        self._levels.apply(config.level, config.levels)
        self._writer.start()

    def apply(self, config: LogConfig) -> None:
        """Use other levels, names and format from now on."""
        self._levels.apply(config.level, config.levels)
        if (config.format, config.rename) != (self._config.format, self._config.rename):  # else it keeps its columns
            self._writer.make_format = self._format_maker(config)
        self._config = config

    def show(self, banner: Banner) -> None:
        """Say what was started: a banner for people, the same facts as INFO lines for machines."""
        if self._for_machines:
            log = get_logger("host")
            for event, fields in banner.facts():
                log.bind(**fields).info(event)
        else:
            self.queue.put(banner)

    def stop(self, timeout: float = STOP_SECONDS) -> bool:
        """Give the root logger back and write what is queued, for at most `timeout` seconds.

        False: the other end did not read in time (a full pipe) and lines are lost.
        """
        self._root.handlers[:], level = self._before
        self._levels.reset()
        self._root.setLevel(level)
        self.queue.close()
        self._writer.join(timeout)
        return not self._writer.is_alive()

    def _format_maker(self, config: LogConfig) -> Callable[[], Format]:
        self._for_machines = config.format == "json" or (config.format == "auto" and self._command == "start")
        if self._for_machines:
            return partial(JsonLines, rename=config.rename, pid=os.getpid())
        return partial(_console_lines, self._output) if self._output.is_terminal else PlainLines


def _console_lines(output: "_Output") -> PeopleFormat:
    from agenthost.logs.console import ConsoleLines  # rich: only where there is somebody to see it

    return ConsoleLines(width=output.width)


class _Writer(threading.Thread):
    """Takes batches from the queue and writes them; the only thing in the host that may wait for the reader.

    A daemon: a reader that never reads must not keep the host from ending.
    """

    def __init__(self, queue: LineQueue, output: "_Output", make_format: Callable[[], Format]) -> None:
        super().__init__(name="agenthost-log", daemon=True)
        self._queue = queue
        self._output = output
        self.make_format = make_format  # swapped in one assignment by the host's thread, called on this one

    def run(self) -> None:
        made_by, format_ = self.make_format, self.make_format()
        while (batch := self._queue.take()) is not None:
            if made_by is not self.make_format:
                made_by, format_ = self.make_format, self.make_format()
            text = "".join(_rendered(item, format_) for item in batch)
            if not self._output.write(encodable(text).encode()):
                self._queue.count_dropped(len(batch), told=False)
        self._output.close()


def _rendered(item: Item, format_: Format) -> str:
    if not isinstance(item, Banner):
        return format_(item)
    if isinstance(format_, JsonLines):  # the format changed after the banner was queued
        return ""
    return format_.banner(item)


class _Output:
    """A descriptor of its own on the stream, so that nobody who closes sys.stdout takes the log with it."""

    def __init__(self, stream: TextIO | None) -> None:
        self._fd: int | None
        try:
            self._fd = None if stream is None else os.dup(stream.fileno())
        except (OSError, ValueError):  # already closed, or no real file
            self._fd = None
        self._torn = False
        self.is_terminal = self._fd is not None and os.isatty(self._fd)

    def width(self) -> int:
        """Columns of the terminal now; $COLUMNS or 80 where it does not say."""
        try:
            columns = os.get_terminal_size(self._fd).columns if self._fd is not None else 0
        except OSError:
            columns = 0
        return columns or shutil.get_terminal_size().columns

    def write(self, data: bytes) -> bool:
        """Write all of `data`, however long the reader takes. False: it could not be written."""
        if self._fd is None:
            return False
        if self._torn:
            data = b"\n" + data  # what was written before ended within a line
        written = write_all(self._fd, data)
        self._torn = 0 < written < len(data)
        return written == len(data)

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None
