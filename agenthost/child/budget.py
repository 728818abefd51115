"""`Budget`: how long each phase of a job's end may take. Runs in job processes, on the job's loop.

A natural end gives each phase its own limit. When the host sets a budget for everything together, a phase gets at
most its share of what is left, so that an entrypoint that will not stop does not cost the shutdown callbacks their
turn. A tighter budget takes effect at once, also in the phase that is running.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

_RESERVE = 0.1  # of a budget, for the last message to be on its way before the host's own clock runs out
_MAX_RESERVE = 0.5  # seconds


class Budget:
    """Starts without a bound. Needs a running loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._deadline: float | None = None
        self._grace_deadline: float | None = None
        self._tightened = asyncio.Event()

    def tighten(self, *, grace: float, total: float | None) -> None:
        """From now: at most `grace` seconds for the entrypoint, `total` for everything (None: no bound for all).

        A deadline can only come nearer.
        """
        now = self._loop.time()
        self._grace_deadline = _nearer(self._grace_deadline, now + grace)
        if total is not None:
            self._deadline = _nearer(self._deadline, now + total - min(_RESERVE * total, _MAX_RESERVE))
        self._tightened.set()

    def left(self) -> float:
        """Seconds until everything must be over; infinite where the host has set no bound."""
        return float("inf") if self._deadline is None else max(0.0, self._deadline - self._loop.time())

    async def wait(
        self, tasks: Iterable[asyncio.Task[Any]], *, limit: float, share: float, grace: bool = False
    ) -> set[asyncio.Task[Any]]:
        """Wait for `tasks`, at most `limit` seconds and `share` (0..1) of what is left; returns those not done.

        `grace`: the entrypoint's grace bounds this phase, too.
        """
        pending = {task for task in tasks if not task.done()}
        end = self._loop.time() + limit
        while pending:
            self._tightened.clear()
            end = min(end, self._end(share, grace=grace))
            wake = asyncio.ensure_future(self._tightened.wait())
            try:
                timeout = max(0.0, end - self._loop.time())
                await asyncio.wait({*pending, wake}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            finally:
                wake.cancel()
            pending = {task for task in pending if not task.done()}
            if not self._tightened.is_set() and self._loop.time() >= end:
                break
        return pending

    def _end(self, share: float, *, grace: bool) -> float:
        now = self._loop.time()
        ends = [] if self._deadline is None else [now + share * max(0.0, self._deadline - now)]
        if grace and self._grace_deadline is not None:
            ends.append(self._grace_deadline)
        return min(ends, default=float("inf"))


def _nearer(old: float | None, new: float) -> float:
    return new if old is None else min(old, new)
