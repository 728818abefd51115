"""How long the phases of a livekit-agents job's end may take. Runs in job processes, on the job's loop.

livekit-agents decides the order: entrypoint, session, session_end, room, shutdown callbacks. It gives the entrypoint
15 s and the session 60 s, and the callbacks no limit. Here every phase gets its limit, and its share of the budget
where the host has set one for everything together; what overruns is named, cancelled, and left behind.
"""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from typing import Any

from agenthost.child.budget import Budget
from agenthost.child.job_end import CALLBACKS_SHARE, CANCEL_SECONDS, GRACE_SECONDS, LEAVE_SECONDS, SHARE
from agenthost.context.calls import attempt, call, name_of
from agenthost.logs.events import get_logger

SESSION_CLOSE_SECONDS = 60.0  # as in livekit-agents

log = get_logger("job")


class VoiceEnd:
    """Times in seconds. `begin` is called when it is decided what the job ends by."""

    def __init__(self, *, budget: Budget, shutdown_seconds: float, session_end_seconds: float) -> None:
        self._budget = budget
        self._shutdown_seconds = shutdown_seconds
        self._session_end_seconds = session_end_seconds
        self._entrypoint: asyncio.Task[Any] | None = None
        self._grace: asyncio.Task[None] | None = None

    def watch_entrypoint(self, task: asyncio.Task[Any]) -> None:
        """The entrypoint that is given its grace at the end."""
        self._entrypoint = task

    def begin(self, context: Any) -> bool:
        """From now on all limits hold. False when that was so already."""
        if self._grace is not None:
            return False
        self._grace = asyncio.create_task(self._end_entrypoint(), name="agenthost: grace")
        session = context._primary_agent_session
        if session is not None:
            limits = {"limit": SESSION_CLOSE_SECONDS, "share": SHARE}
            session.aclose = self._bounded("closing the session", session.aclose, **limits)
        return True

    async def call_session_end(self, function: Callable[..., Any], context: Any) -> None:
        bounded = self._bounded("session_end", function, limit=self._session_end_seconds, share=SHARE)
        await bounded(context)

    def limit_callbacks(self, context: Any) -> None:
        """To be called after the last callback can have been added, before the first one is run."""
        limits = {"limit": self._shutdown_seconds, "share": CALLBACKS_SHARE}
        callbacks = context._shutdown_callbacks
        callbacks[:] = [self._bounded("shutdown callback", callback, **limits) for callback in callbacks]

    async def leave(self, leave: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Leave the rooms that the code has joined by itself; theirs was left before the callbacks."""
        await self._bounded("leaving a room of its own", leave, limit=LEAVE_SECONDS, share=SHARE)()

    async def clear_remains(self) -> None:
        """Cancel every task that is still there: the loop is about to be left."""
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel("the job is ending")
        for task in await self._budget.wait(tasks, limit=CANCEL_SECONDS, share=SHARE):
            log.warning("goes on although it was cancelled; it ends with the process", task=task.get_name())

    async def _end_entrypoint(self) -> None:
        if self._entrypoint is None:
            return
        for task in await self._budget.wait({self._entrypoint}, limit=GRACE_SECONDS, share=SHARE, grace=True):
            log.warning("did not end within its grace and is cancelled", task=task.get_name())
            task.cancel("the job is ending")

    def _bounded(
        self, what: str, function: Callable[..., Any], *, limit: float, share: float
    ) -> Callable[..., Coroutine[Any, Any, None]]:
        """`function` as one that never raises and never takes longer."""

        @functools.wraps(function)
        async def bounded(*arguments: Any, **options: Any) -> None:
            work = call(functools.partial(function, *arguments, **options))
            task = asyncio.create_task(_guarded(what, name_of(function), work), name=name_of(function))
            for late in await self._budget.wait({task}, limit=limit, share=share):
                log.warning(f"{what} took too long and is cancelled", function=late.get_name(), limit_seconds=limit)
                late.cancel("the job is ending")

        return bounded


async def _guarded(what: str, name: str, work: Coroutine[Any, Any, Any]) -> None:
    error = await attempt(work)
    if error is not None:
        log.error(f"{what} failed", function=name, exc_info=error)
