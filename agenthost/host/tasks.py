"""The tasks of a host: one that fails ends the host with its error, and all end with it. Runs on the host's loop."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine

_CANCEL_AGAIN_SECONDS = 0.5


class Tasks:
    """`failed` is called with the error of a task that was not cancelled."""

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        self._failed = failed
        self._tasks: set[asyncio.Task[None]] = set()
        self._at_end: list[Callable[[], Awaitable[None]]] = []

    def create_task(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def at_end(self, stop: Callable[[], Awaitable[None]]) -> None:
        """Have something stopped when the tasks are."""
        self._at_end.append(stop)

    async def cancel(self) -> None:
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            # Again and again: a task group that fails while it is cancelled forgets that it was (CPython 3.11).
            await asyncio.wait(self._tasks, timeout=_CANCEL_AGAIN_SECONDS)
        for stop in self._at_end:
            await stop()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._failed(error)
