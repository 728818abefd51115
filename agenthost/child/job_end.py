"""How a job ends, phase by phase. Runs in job processes, on the job's loop, once the outcome is decided.

    entrypoint    has its grace, then it is cancelled, and the participant entrypoints with it
    session_end   the user's function, with a limit of its own
    room          left, if the job still is in it, with ctx.room or with one of its own
    callbacks     all shutdown callbacks at the same time, under one limit
    remains       API requests still under way, then every other task: cancelled

Nothing that user code does here changes the outcome: errors are logged, what overruns is named, cancelled, left.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from agenthost.child.budget import Budget
from agenthost.context.calls import attempt, call, name_of, taken_by
from agenthost.ipc.messages import Stopping
from agenthost.logs.events import get_logger

if TYPE_CHECKING:
    from agenthost.context.job_context import JobContext
    from agenthost.context.job_parts import JobParts

GRACE_SECONDS = 15.0  # for the entrypoint at a natural end; the host sends the grace of all other ends
CANCEL_SECONDS = 2.0  # from being cancelled to being given up
LEAVE_SECONDS = 5.0  # leaving a room is one message; a server that is gone must not hold the job
REQUEST_SECONDS = 5.0
SHARE = 0.5  # of what is left of a budget, for each phase but the callbacks
CALLBACKS_SHARE = 0.9

log = get_logger("job")


class JobEnd(Struct, frozen=True, kw_only=True):
    """One job about to end, and what its end needs. Times in seconds."""

    parts: "JobParts"
    context: "JobContext"
    entrypoint: asyncio.Task[None]
    session_end: Callable[..., Any] | None
    session_end_seconds: float
    shutdown_seconds: float
    leave: Callable[[], Coroutine[Any, Any, None]]
    budget: Budget
    report: Callable[[Stopping], None]

    async def run(self, reason: str) -> None:
        """All phases in order. Returns within the budget, or the sum of the limits; user code cannot make it raise."""
        with self._phase("entrypoint", reason):
            await self._end_entrypoint(reason)
        with self._phase("session_end", reason):
            await self._call_session_end()
        await self._leave_room()
        with self._phase("callbacks", reason):
            await self._call_shutdown_callbacks(reason)
        await self._clear_remains()

    @contextmanager
    def _phase(self, phase: str, reason: str) -> Iterator[None]:
        clock = asyncio.get_running_loop().time
        began = clock()
        self.report(Stopping(phase=phase, reason=reason))
        yield
        log.debug("a phase of the end is over", phase=phase, seconds=round(clock() - began, 3))

    async def _end_entrypoint(self, reason: str) -> None:
        self.parts.participants.close(reason)
        late = await self.budget.wait({self.entrypoint}, limit=GRACE_SECONDS, share=SHARE, grace=True)
        for task in late:
            log.warning("did not end within its grace and is cancelled", task=task.get_name())
        # Participant entrypoints have no end of their own in sight: waiting for them would hold up every job.
        await self._cancel(late | self.parts.participants.tasks)

    async def _call_session_end(self) -> None:
        if self.session_end is not None:
            calls = {name_of(self.session_end): call(self.session_end, self.context)}
            await self._run("session_end", calls, limit=self.session_end_seconds, share=SHARE)

    async def _leave_room(self) -> None:
        calls = {"leaving a room of its own": self.leave()}
        if self.parts.room.isconnected():
            calls["leaving the room"] = self.parts.room.disconnect()
        await self._run("room", calls, limit=LEAVE_SECONDS, share=SHARE)

    async def _call_shutdown_callbacks(self, reason: str) -> None:
        calls = {
            f"{name_of(callback)}#{number}": call(callback, *taken_by(callback, reason))
            for number, callback in enumerate(self.parts.shutdown_callbacks, start=1)
        }
        await self._run("callbacks", calls, limit=self.shutdown_seconds, share=CALLBACKS_SHARE)

    async def _clear_remains(self) -> None:
        await self.budget.wait(self.parts.api.requests, limit=REQUEST_SECONDS, share=SHARE)
        await self._cancel(asyncio.all_tasks() - {asyncio.current_task()})
        calls = {"closing the API client": self.parts.api.close()}
        await self._run("remains", calls, limit=CANCEL_SECONDS, share=SHARE)

    async def _run(self, phase: str, calls: dict[str, Coroutine[Any, Any, Any]], *, limit: float, share: float) -> None:
        """Run `calls` (by name) at the same time; log what failed, name and cancel what overran."""
        tasks = [asyncio.create_task(_guarded(phase, name, each), name=name) for name, each in calls.items()]
        late = await self.budget.wait(tasks, limit=limit, share=share)
        for task in late:
            log.warning("took too long and is cancelled", phase=phase, function=task.get_name(), limit_seconds=limit)
        await self._cancel(late)

    async def _cancel(self, tasks: Iterable[asyncio.Task[Any]]) -> None:
        tasks = set(tasks)
        for task in tasks:
            task.cancel("the job is ending")
        for task in await self.budget.wait(tasks, limit=CANCEL_SECONDS, share=SHARE):
            log.warning("goes on although it was cancelled; it ends with the process", task=task.get_name())


async def _guarded(phase: str, name: str, coroutine: Coroutine[Any, Any, Any]) -> None:
    error = await attempt(coroutine)
    if error is not None:
        log.error("failed while the job was ending", phase=phase, function=name, exc_info=error)
