"""Writing to a descriptor that somebody else may close, fill up, or make non-blocking. Standard library only."""

import os
import select


def write_all(fd: int, data: bytes) -> int:
    """Write `data`, however long the reader takes; how many bytes were written before an error, if there was one.

    Less than all of it means that nobody reads any more, or that the disk is full.
    """
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[os.write(fd, rest) :]
        except BlockingIOError:  # whoever shares the terminal or pipe may have made it non-blocking
            _wait_writable(fd)
        except OSError:
            break
    return len(data) - len(rest)


def _wait_writable(fd: int) -> None:
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    poll.poll()
