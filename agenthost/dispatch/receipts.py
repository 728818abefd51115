"""What the server has read of one registration's messages: it reads a socket in order, and answers our pings so.

Runs on the host's loop. Sent is not heard: a load report may lie in a buffer while somebody dispatches a job. A number
is taken for each ping; its pong proves that everything queued before it has been read. What a lost connection leaves
unread is not said again, so those who wait for it wait for a later number, which the next connection brings.
"""

import asyncio


class Receipts:
    """Numbers count from 1 over all connections of a registration, so none is taken for a ping that keeps time."""

    def __init__(self) -> None:
        self._last = 0
        self._waiting: dict[int, asyncio.Future[None]] = {}

    def number(self) -> int:
        """The next ping's."""
        self._last += 1
        return self._last

    async def wait(self, number: int) -> None:
        """Until that ping or a later one was answered, or `release`."""
        waiting = self._waiting.setdefault(number, asyncio.get_running_loop().create_future())
        await asyncio.shield(waiting)

    def answered(self, number: int) -> None:
        """A pong came; one for a ping that is not numbered here says nothing."""
        if number <= self._last:
            self._settle([one for one in self._waiting if one <= number])

    def release(self) -> None:
        """There will be no more answers."""
        self._settle(list(self._waiting))

    def _settle(self, numbers: list[int]) -> None:
        for number in numbers:
            self._waiting.pop(number).set_result(None)
