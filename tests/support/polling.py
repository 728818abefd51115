"""Waiting for a state of the outside world (a process, a port, a file) that has no event to await."""

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


async def poll(look: Callable[[], Found], *, timeout: float, what: str = "") -> Found:
    """The first true value that `look` returns. At the deadline: AssertionError about `what`, or the value without."""
    deadline = time.monotonic() + timeout
    while not (found := look()):
        if time.monotonic() > deadline:
            assert not what, f"{what} (waited {timeout:g} s)"
            return found
        await asyncio.sleep(0.02)
    return found
