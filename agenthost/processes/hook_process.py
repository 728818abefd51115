"""The process in which a user's request handler and load function run, one per agent generation that has any.

Runs on the host's loop. It lives as long as its generation. When it dies every open question fails at once; when a
question is not answered in time it counts as hanging, is killed and replaced: another is started soon, with growing
pauses where each dies without an answer, whether or not somebody asks meanwhile. A start outlives the question that
waits for it. The main process of a script (`child/main_process.py`) is one, too, and is there whether anything is asked
or not: it may do other things.
"""

import asyncio
import itertools
from collections.abc import Mapping
from typing import TypeVar

from agenthost.errors import ProcessFailed
from agenthost.ipc.channel import MAX_FRAME
from agenthost.ipc.messages import AskHandler, AskLoad, HandlerAnswer, LoadAnswer, Message
from agenthost.jobs import ActiveJob
from agenthost.processes.child_process import ChildProcess, Hung
from agenthost.processes.home import ProcessHome
from agenthost.processes.starters import Starter, start_process
from agenthost.processes.templates import NUMBERS
from agenthost.restarts import start_delay

STABLE_SECONDS = 10.0
"""A main process that lived this long was good: its end is no reason to wait before the next."""

_STACKS_SECONDS = 0.5  # the same, where nobody waits for them
_DUMP_SECONDS = 1.0  # faulthandler writes in a signal handler; this is for a busy machine to read the pipe

Answer = TypeVar("Answer", HandlerAnswer, LoadAnswer)


FIRST_PAUSE_SECONDS = 0.1
MOST_PAUSE_SECONDS = 30.0
"""From a death of it until the next start, twice as long after each one that has answered nothing."""


class HookProcess(ChildProcess):
    """One life of the hook process; questions are numbered, answers may come in any order."""

    def __init__(self, *, number: int, agent: str, home: ProcessHome) -> None:
        super().__init__(number=number, agent=agent, home=home)
        self.open_questions: dict[int, asyncio.Future[Message]] = {}
        self.replaced = False
        self.told: dict[str, None] = {}  # the active jobs that it knows
        self.ended.add_done_callback(self._on_ended)

    def tell(self, jobs: Mapping[str, ActiveJob]) -> dict[str, ActiveJob]:
        """Those that it does not know, as many as go into one message; the others next time."""
        new: dict[str, ActiveJob] = {}
        left = MAX_FRAME // 2
        for id, job in jobs.items():
            if id not in self.told and left > 0:
                new[id] = job
                left -= len(job.job)
        self.told = {id: None for id in jobs if id in self.told or id in new}
        return new

    def received(self, message: Message) -> None:
        if isinstance(message, HandlerAnswer | LoadAnswer):
            question = self.open_questions.pop(message.number, None)
            if question is not None and not question.done():
                question.set_result(message)
        else:
            super().received(message)

    def kill_when_replaced(self) -> None:
        """Once nobody waits for an answer of it: those that it still owes are worth a moment."""
        if self.replaced and not self.open_questions:
            asyncio.get_running_loop().call_later(_STACKS_SECONDS, self.kill)

    def _on_ended(self, _: object) -> None:
        for question in self.open_questions.values():
            if not question.done():
                question.set_exception(ProcessFailed("the hook process died"))
        self.open_questions.clear()


class Hook:
    """What the host asks; starts, replaces and ends the process behind it. `script`: it is a main process, of this."""

    def __init__(
        self, agent: str, *, starter: Starter, home: ProcessHome, init_seconds: float, script: str | None = None
    ) -> None:
        self._script = script
        self._agent = agent
        self._starter = starter
        self._home = home
        self._init_seconds = init_seconds
        self._process: HookProcess | None = None
        self._born = 0.0
        self._numbers = itertools.count(1)
        self._starting: asyncio.Task[HookProcess] | None = None
        self._failures = 0
        self._not_before = 0.0
        self._closed = False

    async def start(self) -> HookProcess:
        """Have a process that is ready. Raises ProcessFailed, with the user's error where it is theirs."""
        return await self._living()

    async def keep(self) -> None:
        """Have a main process at all times, until `close`; one that ends is started anew, with a growing delay."""
        while self._is_kept():
            try:
                process = await self._living()
                await asyncio.shield(process.ended)
                cause = process.death
            except ProcessFailed as error:
                cause = str(error)
            if self._is_kept():
                self._home.log.error(
                    "main process ended",
                    agent=self._agent,
                    script=self._script,
                    cause=cause,
                    retry_in_seconds=self._delay,
                )

    def _is_kept(self) -> bool:
        return self._script is not None and not self._closed

    async def ask_handler(self, question: AskHandler, *, seconds: float) -> HandlerAnswer:
        """Raises ProcessFailed when it died, TimeoutError when it did not answer (it is replaced then)."""
        return await self._ask(await self._living(), question, HandlerAnswer, seconds)

    async def ask_load(
        self, active_jobs: int, *, seconds: float, jobs: Mapping[str, ActiveJob] | None = None, worker_id: str = ""
    ) -> LoadAnswer:
        """Raises ProcessFailed or TimeoutError; a slow load function is not reason enough to replace the process.

        `jobs` are the active ones, where the function wants to see them.
        """
        async with asyncio.timeout(seconds):  # the start included: whoever measures has other things to look at
            process = await self._living()
            new = process.tell(jobs or {})
            question = AskLoad(
                number=self.number(),
                active_jobs=active_jobs,
                jobs=tuple(process.told),
                new=new,
                worker_id=worker_id,
            )
            return await self._ask(process, question, LoadAnswer, seconds)

    def number(self) -> int:
        """A number for the next question."""
        return next(self._numbers)

    def tell(self, message: Message) -> None:
        """Send something that is no question."""
        if self._process is not None:
            self._process.send(message)

    async def close(self) -> None:
        self._closed = True
        if self._starting is not None:
            self._starting.cancel()
        process, self._process = self._process, None
        if process is not None:
            process.close_channel()
            if not await _ends(process, 1.0) and self._script is not None:
                process.interrupt()  # its main thread serves something of its own, as a terminal would end it
                await _ends(process, 2.0)
            if not process.ended.done():
                process.kill()
                await process.ended

    async def _ask(
        self, process: HookProcess, question: AskHandler | AskLoad, kind: type[Answer], seconds: float
    ) -> Answer:
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        process.open_questions[question.number] = answer
        process.send(question)
        try:
            async with asyncio.timeout(seconds):
                message = await answer
        except TimeoutError:
            if kind is HandlerAnswer:
                self._replace(process)
            raise
        finally:
            process.open_questions.pop(question.number, None)
            process.kill_when_replaced()
        assert isinstance(message, kind)
        if self._script is None:
            self._failures = 0
        return message

    async def _living(self) -> HookProcess:
        """The start has `init_seconds` of its own: who waits for it may give up, and it goes on for the next."""
        if self._process is not None and not self._process.ended.done():
            return self._process
        if self._closed:
            raise ProcessFailed("the hook process is not needed any more")
        starting = self._begin()
        await asyncio.wait({starting})
        if starting.cancelled():  # by `close`: whoever waits is not cancelled with it
            raise ProcessFailed("the hook process is not needed any more")
        return starting.result()

    def _begin(self) -> "asyncio.Task[HookProcess]":
        """The start that is under way, else a new one."""
        if self._starting is None or self._starting.done():
            self._starting = asyncio.get_running_loop().create_task(self._start())
            # nobody need wait for one that `_gone` has begun
            self._starting.add_done_callback(lambda starting: starting.cancelled() or starting.exception())
        return self._starting

    async def _start(self) -> HookProcess:
        """After the pause. `_process` is set last, with nothing awaited since: `close` cancels this, or finds it."""
        now = asyncio.get_running_loop().time
        await asyncio.sleep(max(0.0, self._not_before - now()))
        self._born = now()
        try:
            process = await self._make()
        except ProcessFailed:
            self._failed()
            raise
        process.ended.add_done_callback(lambda _: self._gone(process))
        self._process = process
        return process

    async def _make(self) -> HookProcess:
        """One that is ready. Whoever is cancelled leaves none behind."""
        kind = "hook" if self._script is None else "main"
        process = await start_process(
            self._starter, kind, lambda: HookProcess(number=next(NUMBERS), agent=self._agent, home=self._home)
        )
        try:
            await self._wait_ready(process)
        except BaseException:
            process.kill()
            raise
        return process

    async def _wait_ready(self, process: HookProcess) -> None:
        try:
            async with asyncio.timeout(self._init_seconds):
                await asyncio.shield(process.ready)
        except TimeoutError:
            stacks = await process.stacks(seconds=_DUMP_SECONDS)
            what = "the hook process was not ready"
            if self._script is not None:
                what = f"`{self._script}` did not come to `cli.run_app(…)`"
            raise Hung(f"{what} within limits.init ({self._init_seconds:g} s)", stacks) from None

    def _gone(self, process: HookProcess) -> None:
        """Have another soon, whether or not somebody asks. A main process has its own keeper (`keep`)."""
        if self._process is process:
            self._lose()

    def _lose(self) -> None:
        self._process = None
        self._failed()
        if self._script is None:
            self._begin()

    def _failed(self) -> None:
        """One that dies again and again, or does not get ready, is waited with."""
        now = asyncio.get_running_loop().time()
        was_stable = self._script is not None and now - self._born >= STABLE_SECONDS
        self._failures = 1 if was_stable else self._failures + 1
        self._not_before = now + self._delay

    @property
    def _delay(self) -> float:
        """From the last failure until the next start."""
        if self._script is not None:
            return start_delay(self._failures)
        return min(MOST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(self._failures - 1, 16))

    def _replace(self, process: HookProcess) -> None:
        """A handler that hangs may hold the whole loop: the stacks go to the log, the process goes."""
        if self._process is process:
            self._lose()
            self._home.log.warning(
                "hook process replaced", agent=self._agent, pid=process.pid, reason="no answer in time"
            )
            process.dump_stacks()
            process.replaced = True  # by then, since who gave up waiting is still among those who wait


async def _ends(process: HookProcess, seconds: float) -> bool:
    """Whether it ends by itself within this time."""
    await asyncio.wait([process.ended], timeout=seconds)
    return process.ended.done()
