"""Bytes of a pipe, however cut, into lines and groups of lines. Pure: time is an argument, nothing is read here."""

from msgspec import Struct, field

from agenthost.logs.lines import MAX_LINE

_QUIET_SECONDS = 0.05
_TRACEBACK_SECONDS = 1.0  # an unfinished traceback is waited for longer: machines are busy when things fail
_GROUP_SECONDS = 1.0
_GROUP_BYTES = 32 * 1024
_NOTE_BYTES = 64
_TRACEBACKS = (b"Traceback (most recent call last)", b"Fatal Python error: ")


class LineSplitter:
    """Lines without their newline; of one longer than 64 KiB the start and a note. Holds at most one such line."""

    def __init__(self) -> None:
        self._head = bytearray()
        self._length = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes."""
        first, *more = data.split(b"\n")
        self._hold(first)
        if not more:
            return []
        *whole, rest = more
        lines = [self._take(), *(line if len(line) <= MAX_LINE else _cut(line, len(line)) for line in whole)]
        self._hold(rest)
        return lines

    def finish(self) -> list[bytes]:
        """The last line, if it has no newline."""
        return [self._take()] if self._length else []

    def _hold(self, data: bytes) -> None:
        self._head += data[: MAX_LINE - len(self._head)]
        self._length += len(data)

    def _take(self) -> bytes:
        head, length = bytes(self._head), self._length
        self._head.clear()
        self._length = 0
        return head if length <= MAX_LINE else _cut(head, length)


def _cut(line: bytes, length: int) -> bytes:
    """With its note it is no longer than a line may be, so that it is not cut again, with another note."""
    return line[: MAX_LINE - _NOTE_BYTES] + f"… (cut, {length} bytes)".encode()


class LineGroup(Struct):
    """Lines of stderr that came close together and may belong together: a traceback, a native library's dump.

    A group ends after 50 ms of silence (1 s within a traceback), after 1 s in all, or at 32 KiB.
    """

    lines: list[bytes] = field(default_factory=list)
    started: float = 0.0
    last: float = 0.0
    size: int = 0
    has_traceback: bool = False

    def add(self, lines: list[bytes], now: float) -> None:
        """`now` is in seconds of a clock that never goes back."""
        if not self.lines:
            self.started = now
        self.lines += lines
        self.last = now
        self.size += sum(map(len, lines)) + len(lines)
        self.has_traceback = self.has_traceback or any(map(is_traceback, lines))

    def ends_in(self, now: float) -> float:
        """How many seconds the group may stay open; 0 or less: it is complete."""
        if self.size >= _GROUP_BYTES:
            return 0.0
        is_open = self.has_traceback and continues_traceback(self.lines[-1])
        quiet = _TRACEBACK_SECONDS if is_open else _QUIET_SECONDS
        return min(self.last + quiet, self.started + _GROUP_SECONDS + (quiet if is_open else 0.0)) - now

    def take(self) -> list[bytes]:
        """The lines of the group, which is empty afterwards."""
        lines, self.lines = self.lines, []
        self.size = 0
        self.has_traceback = False
        return lines


def is_traceback(text: bytes) -> bool:
    """Whether a group tells of an exception or of a crash of the interpreter."""
    return any(mark in text for mark in _TRACEBACKS)


def continues_traceback(line: bytes) -> bool:
    """Whether a traceback that has this line is not over with it."""
    return line.startswith((b" ", *_TRACEBACKS)) or not line.strip()
