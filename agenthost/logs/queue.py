"""The bounded queue between everything in the host that logs and the one thread that writes.

Runs in the host. Any thread may put, and none ever waits: a full queue drops its oldest lines and counts them, and
the count is the first line of the next batch. Jobs' lines wait in front of it (see relay.py) as soon as it is half
full, so that one noisy job cannot push out what the host or another job says.
"""

import logging
import threading
import time
from collections import deque

from agenthost.logs.banner import Banner
from agenthost.logs.lines import LogLine, line_of

MAX_LINES = 10_000
MAX_CHARACTERS = 8 * 1024 * 1024
_BATCH = 256
Item = LogLine | Banner


def dropped_line(count: int, **fields: object) -> LogLine:
    """The line that stands where `count` lines are missing."""
    return LogLine(
        created=time.time(),
        level=logging.WARNING,
        logger="agenthost.logs",
        message="log lines dropped",
        fields={**fields, "count": count},
    )


class LineQueue:
    """At most `max_lines` lines and `max_characters` of text. `dropped` counts all lines that were ever lost."""

    def __init__(self, *, max_lines: int = MAX_LINES, max_characters: int = MAX_CHARACTERS) -> None:
        self._max_lines = max_lines
        self._max_characters = max_characters
        self._items: deque[tuple[int, Item]] = deque()
        self._characters = 0
        self._untold = 0
        self._closed = False
        self._changed = threading.Condition()
        self.dropped = 0

    @property
    def congested(self) -> bool:
        """More than half full: who can hold lines back should."""
        return len(self._items) * 2 > self._max_lines or self._characters * 2 > self._max_characters

    def put(self, item: Item) -> None:
        """Add at the end; never waits."""
        size = _size(item)
        with self._changed:
            self._items.append((size, item))
            self._characters += size
            while len(self._items) > self._max_lines or self._characters > self._max_characters:
                self._characters -= self._items.popleft()[0]
                self._untold += 1
                self.dropped += 1
            self._changed.notify()

    def count_dropped(self, count: int, *, told: bool) -> None:
        """Lines were lost outside the queue; `told`: a line that says so is already on its way."""
        with self._changed:
            self.dropped += count
            self._untold += 0 if told else count

    def take(self) -> list[Item] | None:
        """Wait for lines and remove some of the oldest; None once the queue is closed and empty."""
        with self._changed:
            while not self._items and not self._closed:
                self._changed.wait()
            if not self._items:
                return None
            taken = [self._items.popleft() for _ in range(min(_BATCH, len(self._items)))]
            self._characters -= sum(size for size, _ in taken)
            lost, self._untold = self._untold, 0
        batch = [item for _, item in taken]
        return [dropped_line(lost), *batch] if lost else batch

    def close(self) -> None:
        """What is in the queue can still be taken; after that `take` returns None."""
        with self._changed:
            self._closed = True
            self._changed.notify()


class LineHandler(logging.Handler):
    """Puts records into a queue; their arguments are made text here, on the thread that logs."""

    def __init__(self, queue: LineQueue) -> None:
        super().__init__()
        self.queue = queue

    def emit(self, record: logging.LogRecord) -> None:
        self.queue.put(line_of(record, {}, user_code=False))


def running_queue() -> LineQueue | None:
    """The queue behind the root logger: where everything logged in this process goes. None: no log was started."""
    handlers = logging.getLogger().handlers
    return next((handler.queue for handler in handlers if isinstance(handler, LineHandler)), None)


def _size(item: Item) -> int:
    if isinstance(item, Banner):
        return 0
    texts = sum(len(value) for value in item.fields.values() if isinstance(value, str))
    return len(item.message) + len(item.traceback) + texts
