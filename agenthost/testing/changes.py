"""Waiting for a state instead of sleeping: whoever changes something says so, whoever waits looks again.

Runs in the test's own process, on its event loop.
"""

import asyncio
from collections.abc import Callable
from typing import TypeVar

Found = TypeVar("Found")


class Changes:
    """One signal for every change of one server; cheap enough to be given for each frame."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def notify(self) -> None:
        """Something changed: every waiter looks at its condition again."""
        self._next.set()
        self._next = asyncio.Event()

    async def wait_for(self, look: Callable[[], Found | None], *, timeout: float, what: Callable[[], str]) -> Found:
        """The first thing other than None that `look` finds, at the latest after `timeout` seconds.

        Raises TimeoutError whose text is `what()`, asked at that moment, so that it can tell what was there instead.
        """
        try:
            async with asyncio.timeout(timeout):
                while (found := look()) is None:
                    await self._next.wait()
                return found
        except TimeoutError:
            raise TimeoutError(f"{what()} (waited {timeout:g} s)") from None
