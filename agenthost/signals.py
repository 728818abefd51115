"""SIGTERM, SIGINT and SIGHUP become values in somebody's queue; nothing is decided in a handler.

Runs on the host's loop, in the main thread. What sends signals often sends them twice: a terminal and the wrapper that
runs in it, a terminal that is closed and its shell, uv, npm. Requests to end that come together are one.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Iterator
from enum import Enum

REPEAT_SECONDS = 0.5
"""After a request to end, another one counts as meant from then on."""


class Signalled(Enum):
    """TERMINATE is a request to end, HANG_UP one to reload."""

    TERMINATE = "terminate"
    HANG_UP = "hang up"


class Requests:
    """Tells a request to end from the echo of one. Pure: the times are the caller's, in seconds."""

    def __init__(self) -> None:
        self._counted: float | None = None

    def counts(self, now: float) -> bool:
        """Whether a request that comes `now` is one of its own; in that case echoes are counted from here."""
        if self._counted is not None and now - self._counted < REPEAT_SECONDS:
            return False
        self._counted = now
        return True


@contextlib.contextmanager
def listen(put: Callable[[Signalled], None], *, hang_up_reloads: bool) -> Iterator[None]:
    """Hand every such signal to `put` for as long as the block runs; without `hang_up_reloads`, SIGHUP is an end, too.

    After the block a signal does what it does by default, except for the echo of one that came in it. A SIGHUP that is
    ignored when the block begins stays so: `nohup` asked for it.
    """
    loop = asyncio.get_running_loop()
    requests = Requests()

    def terminate() -> None:
        if requests.counts(loop.time()):
            put(Signalled.TERMINATE)

    def leave(number: int) -> None:
        if requests.counts(loop.time()):
            loop.remove_signal_handler(number)
            signal.raise_signal(number)

    ending = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        if hang_up_reloads:
            loop.add_signal_handler(signal.SIGHUP, put, Signalled.HANG_UP)
        else:
            ending.append(signal.SIGHUP)
    for number in ending:
        loop.add_signal_handler(number, terminate)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGHUP)
        for number in ending:
            loop.add_signal_handler(number, leave, number)
