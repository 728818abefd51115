"""A template that is always there: made when it is first wanted, made anew as soon as it has died.

Runs on the host's loop. What dies young or cannot be made is tried again with a growing delay; whoever needs the
template meanwhile does not wait for that delay, and all who wait share one attempt. Where no process may fork it is
not tried again.
"""

import asyncio
from collections.abc import Awaitable, Callable

from agenthost.errors import ProcessFailed
from agenthost.logs.events import EventLogger
from agenthost.processes.templates import MustNotFork, Template
from agenthost.restarts import start_delay

STABLE_SECONDS = 10.0
"""A template that lived this long was good: its death is no reason to wait before the next."""


class TemplateKeeper:
    """`make` gives a template that is ready, or raises; `what` names it in the log."""

    def __init__(self, what: str, *, make: Callable[[], Awaitable[Template]], log: EventLogger) -> None:
        self._make = make
        self._log = log.bind(template=what)
        self._attempt: asyncio.Future[Template] = asyncio.get_running_loop().create_future()
        self._waiting = 0
        self._wanted = asyncio.Event()
        self._failures = 0
        self._resting = False
        self._task: asyncio.Task[None] | None = None
        self._living: Template | None = None

    def start(self) -> None:
        """Make it now, before anybody wants it."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._keep())

    async def living(self) -> Template:
        """The template, once there is one that can fork. Raises what kept it from being made."""
        self.start()
        attempt = self._open_attempt()
        if not attempt.done():
            self._wanted.set()
        self._waiting += 1
        try:
            return await asyncio.shield(attempt)
        finally:
            self._waiting -= 1

    def rest(self) -> None:
        """Let it end, and make the next one when it is wanted, not before."""
        if self._living is not None and not self._waiting:
            self._resting = True
            self._living.close("it is not needed for now")

    async def close(self) -> None:
        """Let it end, and make no other; returns when what it said last is in the log."""
        if self._task is not None:
            self._task.cancel()
        if self._living is not None:
            self._living.close()
        self._end_with(ProcessFailed("the host ends its templates"))
        if self._living is not None:
            await self._living.silent()

    async def _keep(self) -> None:
        while True:
            try:
                self._living = await self._make()
            except MustNotFork as error:
                self._end_with(error)
                return
            except Exception as error:
                self._failures += 1
                if not self._waiting:
                    self._log.error("template failed", error=str(error), retry_in_seconds=start_delay(self._failures))
                self._fail(error)
            else:
                self._attempt.set_result(self._living)
                self._wanted.clear()
                await self._end_of(self._living)
            await self._pause()

    async def _end_of(self, template: Template) -> None:
        loop = asyncio.get_running_loop()
        born = loop.time()
        await asyncio.shield(template.dead)
        self._living = None
        good = self._resting or loop.time() - born >= STABLE_SECONDS
        self._failures = 0 if good else self._failures + 1
        self._open_attempt()

    async def _pause(self) -> None:
        """The delay before the next attempt; somebody who needs the template from now on ends it."""
        try:
            async with asyncio.timeout(None if self._resting else start_delay(self._failures)):
                await self._wanted.wait()
        except TimeoutError:
            pass
        self._resting = False

    def _open_attempt(self) -> "asyncio.Future[Template]":
        """What is waited for: not the attempt whose template has died since."""
        attempt = self._attempt
        if attempt.done() and attempt.exception() is None and attempt.result().dead.done():
            self._attempt = asyncio.get_running_loop().create_future()
        return self._attempt

    def _fail(self, error: Exception) -> None:
        """This attempt failed; whoever asks from now on waits for the next."""
        self._end_with(error)
        self._wanted.clear()
        self._attempt = asyncio.get_running_loop().create_future()

    def _end_with(self, error: Exception) -> None:
        if self._attempt.done():
            self._attempt = asyncio.get_running_loop().create_future()
        self._attempt.set_exception(error)
        self._attempt.exception()  # nobody need have waited for it
