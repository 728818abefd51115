"""The tasks of a host, and what becomes of their errors. Runs on the host's loop; all tasks end with the host.

    create_task   one thing to do: its error is noted, and nothing else happens
    keep          a loop that the host needs: it is begun anew; one that fails again and again fails the host
    essential     a start: its error fails the host

What fails the host does not end its jobs: `failed` is for whoever drains it then.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine

from agenthost.internal_errors import InternalErrors
from agenthost.metrics import InternalPart

BEGIN_ANEW_SECONDS = 1.0
MOST_FAILURES = 5
FAILURES_WITHIN_SECONDS = 60.0
"""A loop that fails MOST_FAILURES times in so many seconds will not get well by being begun anew."""

_CANCEL_AGAIN_SECONDS = 0.5


class Tasks:
    """`failed` is called with what the host cannot go on without, and has failed."""

    def __init__(self, errors: InternalErrors, failed: Callable[[Exception], None]) -> None:
        self._errors = errors
        self._failed = failed
        self._tasks: set[asyncio.Task[None]] = set()
        self._at_end: list[Callable[[], Awaitable[None]]] = []

    def create_task(
        self, work: Coroutine[None, None, None], part: InternalPart = InternalPart.TASK
    ) -> "asyncio.Task[None]":
        """Do one thing."""
        return self._start(work, lambda error: self._errors.note(part, error))

    def keep(self, loop: Callable[[], Coroutine[None, None, None]]) -> "asyncio.Task[None]":
        """Run what is to run as long as the host, or until it returns by itself."""
        return self._start(self._keep(loop), self._failed)

    def essential(self, work: Coroutine[None, None, None]) -> "asyncio.Task[None]":
        """Do what the host cannot do without."""
        return self._start(work, self._failed)

    def at_end(self, stop: Callable[[], Awaitable[None]]) -> None:
        """Have something stopped when the tasks are."""
        self._at_end.append(stop)

    async def cancel(self) -> None:
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            # Again and again: a task group that fails while it is cancelled forgets that it was (CPython 3.11,
            # https://github.com/python/cpython/issues/116720; 3.13 does not).
            await asyncio.wait(self._tasks, timeout=_CANCEL_AGAIN_SECONDS)
        for stop in self._at_end:
            await stop()

    async def _keep(self, loop: Callable[[], Coroutine[None, None, None]]) -> None:
        failures: deque[float] = deque(maxlen=MOST_FAILURES)
        while True:
            try:
                await _uncancelled(loop)
                return
            except Exception as error:
                self._errors.note(InternalPart.TASK, error)
                failures.append(asyncio.get_running_loop().time())
                if len(failures) == MOST_FAILURES and failures[-1] - failures[0] < FAILURES_WITHIN_SECONDS:
                    raise
            await asyncio.sleep(BEGIN_ANEW_SECONDS)

    def _start(self, work: Coroutine[None, None, None], failed: Callable[[Exception], None]) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(lambda _: self._done(task, failed))
        return task

    def _done(self, task: "asyncio.Task[None]", failed: Callable[[Exception], None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            failed(error)


async def _uncancelled(loop: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run it. Raises RuntimeError where it ends cancelled and nobody has cancelled its task: something that it waited
    for was, and a loop that ended of that would be missed by nobody."""
    task = asyncio.current_task()
    assert task is not None
    try:
        await loop()
    except asyncio.CancelledError as error:
        if task.cancelling():
            raise
        raise RuntimeError("what it waited for was cancelled") from error
