"""What one process of ours says, by any means, becomes lines of the host's log that say whose they are.

Runs on the host's event loop, one relay a process, over three pipes: stdout, stderr, and the pipe of pipe_handler.py.

    pipe → (a bounded read a turn) → lines → buffer of 1 MiB → (bounded work a turn) → the root logger

A line of stdout is a record of logger `stdout`, INFO unless it says another level. Lines of stderr that come close
together are one record of logger `stderr`, unless they begin as records do (`printed.py`): of the level that it says,
else an ERROR when there is a traceback in it, whose last line is then the message, else a WARNING. A JSON object's
members are fields. Lines without any text are left out. A process that says more than the log takes loses its own
oldest lines, and one line tells how many; neither the loop nor the lines of other processes wait for it.
"""

import asyncio
import logging
import os
import time
from collections import deque
from collections.abc import Mapping
from enum import Enum

from agenthost.logs.events import FIELDS
from agenthost.logs.lines import TRACEBACK, LogLine, decode_line
from agenthost.logs.printed import TRACEBACK_HEAD, Printed, read, records
from agenthost.logs.queue import dropped_line, running_queue
from agenthost.logs.splitting import LineGroup, LineSplitter, is_traceback
from agenthost.logs.stack_dumps import format_dump, start_of_dump

BUFFER_BYTES = 1024 * 1024
_READ_BYTES = 32 * 1024
_LINES_A_TURN = 32
_BYTES_A_TURN = 64 * 1024
_ENTRY_BYTES = 64  # what a buffered line costs beside its text
_CONGESTION_SECONDS = 0.05
_PATIENCE_SECONDS = 2.0  # how long the last lines of a process that has ended wait for a log that is stuck
_TELL_SECONDS = 10.0


class _Source(Enum):
    STDOUT = "stdout"
    STDERR = "stderr"
    LOG = "log"


class OutputRelay:
    """Reads the three pipes until each has ended; the descriptors are the relay's from now on.

    `fields` (agent, pid …) are put on every line and win over fields of the same name in the process's own records,
    which get a `_` behind theirs. While the host's log is congested, the lines wait here. `stacks` is done when the
    process has told where it hangs. Needs a running loop.
    """

    def __init__(self, stdout_fd: int, stderr_fd: int, log_fd: int, *, fields: Mapping[str, object]) -> None:
        self._loop = asyncio.get_running_loop()
        self._fields = dict(fields)
        self._open = {_Source.STDOUT: stdout_fd, _Source.STDERR: stderr_fd, _Source.LOG: log_fd}
        self._splitters = {source: LineSplitter() for source in _Source}
        self._group = LineGroup()
        self._group_timer: asyncio.TimerHandle | None = None
        self._buffer = _Buffer()
        self._turn: asyncio.Handle | None = None
        self._ended_at = 0.0
        self._drained = asyncio.Event()
        self.stacks: asyncio.Future[str] = self._loop.create_future()
        for source, fd in self._open.items():
            os.set_blocking(fd, False)
            self._loop.add_reader(fd, self._read, source)

    def bind(self, **fields: object) -> None:
        """Put these fields (job_id, room) on every line from now on as well."""
        self._fields.update(fields)

    async def drained(self) -> None:
        """Wait until all three pipes have ended and their last lines are logged.

        A child that a process left behind keeps its pipes open: give this a time-out, and then `close`.
        """
        await self._drained.wait()

    def close(self) -> None:
        """Stop reading; what was read already is still logged."""
        for source in list(self._open):
            self._end(source)

    def _read(self, source: _Source) -> None:
        try:
            data = os.read(self._open[source], _READ_BYTES)
        except BlockingIOError:
            return
        if not data:
            self._end(source)
            return
        self._add(source, self._splitters[source].feed(data))

    def _end(self, source: _Source) -> None:
        fd = self._open.pop(source)
        self._loop.remove_reader(fd)
        os.close(fd)
        self._add(source, self._splitters[source].finish())
        if source is _Source.STDERR:
            self._end_group()
        if not self._open:
            self._ended_at = self._loop.time()
            self._schedule()

    def _add(self, source: _Source, lines: list[bytes]) -> None:
        if not lines:
            return
        if source is _Source.STDERR:
            self._group.add(lines, self._loop.time())
            self._check_group()
            return
        now = time.time()
        for line in lines:
            self._buffer.add(now, source, line)
        self._schedule()

    def _check_group(self) -> None:
        """End the group, or look again when it could be complete; one timer, however much is written."""
        rest = self._group.ends_in(self._loop.time())
        if rest <= 0:
            self._end_group()
        elif self._group_timer is None:
            self._group_timer = self._loop.call_later(rest, self._look_again)

    def _look_again(self) -> None:
        self._group_timer = None
        self._check_group()

    def _end_group(self) -> None:
        if self._group_timer is not None:
            self._group_timer.cancel()
            self._group_timer = None
        if self._group.lines:
            created = time.time() - (self._loop.time() - self._group.started)
            for record in records(self._group.take()):
                self._buffer.add(created, _Source.STDERR, record)
            self._schedule()

    def _schedule(self) -> None:
        if self._turn is None:
            self._turn = self._loop.call_soon(self._work)

    def _work(self) -> None:
        """One turn: log a few lines, then let everybody else have the loop."""
        self._turn = None
        if self._must_wait():
            self._turn = self._loop.call_later(_CONGESTION_SECONDS, self._work)
            return
        lines, size = 0, 0
        while self._buffer.entries and lines < _LINES_A_TURN and size < _BYTES_A_TURN:
            created, source, data = self._buffer.take()
            self._log(created, source, data)
            lines, size = lines + 1, size + len(data)
        if self._buffer.must_tell(self._loop.time()):
            self._tell_dropped()
        if self._buffer.entries:
            self._schedule()
        elif not self._open:
            self._drained.set()

    def _must_wait(self) -> bool:
        queue = running_queue()
        if queue is None or not queue.congested:
            return False
        return bool(self._open) or self._loop.time() - self._ended_at < _PATIENCE_SECONDS

    def _log(self, created: float, source: _Source, data: bytes) -> None:
        match source:
            case _Source.STDOUT:
                self._log_printed(logging.INFO, created, "stdout", read(_text(data)))
            case _Source.STDERR if is_traceback(data):
                self._log_printed(logging.ERROR, created, "stderr", _with_traceback(_text(data)))
            case _Source.STDERR if (start := start_of_dump(data)) is not None:
                self._log_text(logging.WARNING, created, "stderr", _text(data[:start]))
                stacks = format_dump(_text(data[start:]))
                self._log_text(logging.WARNING, created, "stderr", "where it stands", traceback=stacks)
                if not self.stacks.done():
                    self.stacks.set_result(stacks)
            case _Source.STDERR:
                self._log_printed(logging.WARNING, created, "stderr", read(_text(data)))
            case _Source.LOG:
                self._log_record(created, data)

    def _log_record(self, created: float, data: bytes) -> None:
        try:
            line = decode_line(data)
        except ValueError:  # user code wrote to the pipe itself, or a child of it in the middle of a line
            self._log_text(logging.INFO, created, "stdout", _text(data))
            return
        _handle(line, self._with_ours(line.fields))

    def _log_text(self, level: int, created: float, name: str, text: str, *, traceback: str = "") -> None:
        self._log_printed(level, created, name, Printed(message=text, traceback=traceback))

    def _log_printed(self, default: int, created: float, name: str, said: Printed) -> None:
        level = default if said.level is None else said.level
        if said.message.strip() and logging.getLogger(name).isEnabledFor(level):
            line = LogLine(
                created=created, level=level, logger=name, message=said.message, fields={}, traceback=said.traceback
            )
            _handle(line, self._with_ours(said.fields))

    def _with_ours(self, fields: Mapping[str, object]) -> dict[str, object]:
        own = {f"{key}_" if key in self._fields else key: value for key, value in fields.items()}
        return {**self._fields, **own}

    def _tell_dropped(self) -> None:
        count = self._buffer.told()
        line = dropped_line(count)
        _handle(line, {**self._fields, **line.fields})
        if (queue := running_queue()) is not None:
            queue.count_dropped(count, told=True)


class _Buffer:
    """The lines of one process that wait to be logged: at most 1 MiB, the oldest go first."""

    def __init__(self) -> None:
        self.entries: deque[tuple[float, _Source, bytes]] = deque()
        self._size = 0
        self._dropped = 0
        self._tell_at = 0.0

    def add(self, created: float, source: _Source, data: bytes) -> None:
        self.entries.append((created, source, data))
        self._size += len(data) + _ENTRY_BYTES
        while self._size > BUFFER_BYTES:
            _, dropped_from, lost = self.take()
            self._dropped += lost.count(b"\n") + 1 if dropped_from is _Source.STDERR else 1

    def take(self) -> tuple[float, _Source, bytes]:
        entry = self.entries.popleft()
        self._size -= len(entry[2]) + _ENTRY_BYTES
        return entry

    def must_tell(self, now: float) -> bool:
        """Lines were dropped, and it is calm again, or it has been going on for ten seconds."""
        if self._dropped and not self._tell_at:
            self._tell_at = now + _TELL_SECONDS
        return bool(self._dropped) and (not self.entries or now >= self._tell_at)

    def told(self) -> int:
        count, self._dropped, self._tell_at = self._dropped, 0, 0.0
        return count


def _with_traceback(text: str) -> Printed:
    """A record that ends in a traceback: what stands before it is the message where it is a record of its own."""
    said = read(text)
    if said.fields or said.traceback:
        return said
    head, mark, rest = text.partition(TRACEBACK_HEAD)
    if said.level is not None and mark and head.strip():
        return Printed(message=head.rstrip(), level=said.level, traceback=mark + rest)
    return Printed(message=text.rstrip().rpartition("\n")[2].strip(), traceback=text)


def _text(data: bytes) -> str:
    """What a terminal would show: a line that was written over with a carriage return is its last text."""
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in data.decode(errors="replace").split("\n"))
    return "\n".join(lines)


def _handle(line: LogLine, fields: Mapping[str, object]) -> None:
    """Give a line to the handlers of the root logger: levels were its process's business."""
    record = logging.LogRecord(line.logger, line.level, "", 0, line.message, None, None)
    record.created = line.created
    setattr(record, FIELDS, fields)
    setattr(record, TRACEBACK, line.traceback)
    logging.getLogger().handle(record)
