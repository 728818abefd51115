"""SIGTERM, SIGINT and SIGHUP become values in somebody's queue; nothing is decided in a handler.

Runs on the host's loop, in the main thread.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from enum import Enum


class Signalled(Enum):
    """A request to end: TERMINATE is SIGTERM or SIGINT, HANG_UP is SIGHUP."""

    TERMINATE = "terminate"
    HANG_UP = "hang up"


_MEANING = {
    signal.SIGTERM: Signalled.TERMINATE,
    signal.SIGINT: Signalled.TERMINATE,
    signal.SIGHUP: Signalled.HANG_UP,
}


@contextlib.contextmanager
def listen(put: Callable[[Signalled], None]) -> Iterator[None]:
    """Hand every such signal to `put` for as long as the block runs."""
    loop = asyncio.get_running_loop()
    for number, meaning in _MEANING.items():
        loop.add_signal_handler(number, put, meaning)
    try:
        yield
    finally:
        for number in _MEANING:
            loop.remove_signal_handler(number)
