"""SIGTERM, SIGINT and SIGHUP become commands; nothing is decided in a handler.

Runs on the host's loop, in the main thread.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator

from agenthost.host.commands import Command, Signalled

_MEANING = {
    signal.SIGTERM: Signalled.TERMINATE,
    signal.SIGINT: Signalled.TERMINATE,
    signal.SIGHUP: Signalled.HANG_UP,
}


@contextlib.contextmanager
def listen(put: Callable[[Command], None]) -> Iterator[None]:
    """Hand every such signal to `put` for as long as the block runs."""
    loop = asyncio.get_running_loop()
    for number, command in _MEANING.items():
        loop.add_signal_handler(number, put, command)
    try:
        yield
    finally:
        for number in _MEANING:
            loop.remove_signal_handler(number)
