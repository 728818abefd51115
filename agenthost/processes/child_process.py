"""One process below the host, seen from the host: its channel, its output, its pid, its end.

Runs on the host's loop. What a job, a hook process and a template have in common; what its messages mean is for the
subclass. A process exists for us from its Hello on: it is then our child and has a pid.
"""

import asyncio
import signal
from collections.abc import Mapping
from typing import Any, TypeVar

from agenthost import kernel
from agenthost.errors import ProcessFailed
from agenthost.ipc.channel import AsyncChannel
from agenthost.ipc.messages import Hello, InitFailed, Library, Message, Ready
from agenthost.logs.relay import OutputRelay
from agenthost.processes.ends import ProcessEnds
from agenthost.processes.home import ProcessHome
from agenthost.processes.reaper import ExitStatus

T = TypeVar("T")

START_ATTEMPTS = 4
"""How often a process is asked for when the template dies each time before it could fork."""

_DEAF_SECONDS = 5.0
_LAST_WORDS_SECONDS = 1.0
"""How long messages and output of a dead process are waited for: they are in our pipes already, unless a process it
left behind holds an end open."""


class ChildProcess:
    """Made before the process exists; `opened` hands over our ends, `started`, `ready` and `ended` tell its life.

    `code`, `modules`, `libraries` and `functions` are what a process that learns reports once it is ready (`Ready`).
    `killed_because` is our own reason for its SIGKILL, `death` how it ended and why, once it has ("" until then).
    """

    def __init__(self, *, number: int, agent: str, home: ProcessHome) -> None:
        loop = asyncio.get_running_loop()
        self.number = number
        self.agent = agent
        self.pid: int | None = None
        self.code: Mapping[str, Any] | None = None
        self.modules: tuple[str, ...] = ()
        self.libraries: tuple[Library, ...] = ()
        self.functions = b""
        self.killed_because = ""
        self.death = ""
        self.born = loop.time()
        self.started: asyncio.Future[int] = loop.create_future()
        self.ready: asyncio.Future[float] = loop.create_future()
        self.ended: asyncio.Future[ExitStatus | None] = loop.create_future()
        self.log = home.log
        self._home = home
        self._channel: AsyncChannel | None = None
        self._relay: OutputRelay | None = None
        self._channel_closed = asyncio.Event()
        self._deaf: asyncio.TimerHandle | None = None
        self._finish: asyncio.Task[None] | None = None
        # Nobody need wait for each of the three; a failure is told by `ended` too.
        self.started.add_done_callback(_look_at_exception)
        self.ready.add_done_callback(_look_at_exception)

    def open(self, ends: ProcessEnds) -> None:
        """Start listening; the process itself may not exist yet. Raises ProcessFailed if it was discarded already."""
        self._relay = OutputRelay(ends.stdout, ends.stderr, ends.log, fields={"agent": self.agent})
        self._channel = AsyncChannel(ends.channel, self.received, self._closed)
        if self.ended.done():  # whoever discarded it had no channel to close: it would be started, and stay
            ends.close_theirs()
            self._channel.close()
            raise ProcessFailed("it was not needed any more")

    def send(self, message: Message) -> None:
        if self._channel is not None:
            self._channel.send(message)

    def bind_output(self, **fields: object) -> None:
        """Fields that every further line of its output carries."""
        if self._relay is not None:
            self._relay.bind(**fields)

    def received(self, message: Message) -> None:
        """One message of the process, in order."""
        match message:
            case Hello():
                if self.pid is None:
                    self.adopt(message.pid)
            case Ready():
                self.code, self.modules = message.code, message.modules
                self.libraries, self.functions = message.libraries, message.functions
                _resolve(self.ready, message.init_seconds)
            case InitFailed():
                self.init_failed(message)
            case _:
                self.log.error("unexpected message", message_type=type(message).__name__, pid=self.pid)

    def init_failed(self, failure: InitFailed) -> None:
        """User code failed before it was ready."""
        _reject(self.ready, InitFailure(failure))

    def refuse(self, error: ProcessFailed) -> None:
        """There will be no such process."""
        _reject(self.started, error)
        _reject(self.ready, error)
        if self._channel is not None:
            self._channel.close()
        else:
            _resolve(self.ended, None)  # it was refused before it had even a channel

    def discard(self) -> None:
        """There is no use for it: it is told by its closed channel, or was never asked for and never will be."""
        unwanted = ProcessFailed("it was not needed any more")
        if self._channel is not None:
            _reject(self.started, unwanted)  # else its closed channel would look like a dead template, and be retried
            self._channel.close()
        else:
            self.refuse(unwanted)

    def close_channel(self) -> None:
        """Tell it that there is nothing left to do: a process leaves when its channel is closed."""
        if self._channel is not None:
            self._channel.close()

    def kill(self) -> None:
        """SIGKILL; `ended` follows."""
        if self.pid is not None and self._finish is None:
            kernel.send_signal(self.pid, signal.SIGKILL)
        elif self._channel is not None:
            self._channel.close()  # not even its Hello is there: the closed channel ends it when it appears

    def interrupt(self) -> None:
        """SIGINT, as by a terminal."""
        if self.pid is not None and self._finish is None:
            kernel.send_signal(self.pid, signal.SIGINT)

    def dump_stacks(self) -> None:
        """Ask faulthandler in the process for the stacks of all threads; they arrive in its stderr."""
        if self.pid is not None and self._finish is None:
            kernel.send_signal(self.pid, signal.SIGUSR1)

    async def stacks(self, *, seconds: float) -> str:
        """Ask for them, and wait so long for the answer: a traceback of what it is at, "" if none came."""
        self.dump_stacks()
        return await answered_stacks(self._relay, seconds) if self._relay is not None else ""

    def adopt(self, pid: int) -> None:
        """It exists and is our child: by its template's word or its own Hello, or because we started it ourselves."""
        self.pid = pid
        if self._relay is not None:
            self._relay.bind(pid=pid)
        _resolve(self.started, pid)
        self._home.reaper.exited(pid, with_group=True).add_done_callback(self._exited)

    def _closed(self) -> None:
        self._channel_closed.set()
        if self._channel is not None and self._channel.fault:
            self.log.error("process talks nonsense", agent=self.agent, pid=self.pid, error=self._channel.fault)
        if self._finish is not None:
            return
        # Without a channel it is of no use to anybody; it normally ends within milliseconds.
        self._deaf = asyncio.get_running_loop().call_later(_DEAF_SECONDS, self.kill)
        if self.pid is None:
            self.refuse(TemplateGone("the template died before it could fork"))
            self._exited(None)

    def dying(self) -> None:
        """It is dead, or about to be: called once, while its last words are still on their way."""

    def _exited(self, ended: "asyncio.Future[ExitStatus] | None") -> None:
        if self._finish is None:
            self.dying()
            status = ended.result() if ended is not None else None
            self._finish = asyncio.get_running_loop().create_task(self._wind_up(status))

    async def _wind_up(self, status: ExitStatus | None) -> None:
        """Take what a dead process left in our pipes, end what it left running, then say that it ended."""
        if self.pid is not None:
            self._home.reaper.kill_left_behind(self.pid, self.number)
        try:
            async with asyncio.timeout(_LAST_WORDS_SECONDS):
                await self._channel_closed.wait()
                if self._relay is not None:
                    await self._relay.drained()
        except TimeoutError:
            pass  # somebody outside the session holds a copy of an end; its words are not this process's
        self._let_go()
        self.death = self._home.oom.explain(status, killed_because=self.killed_because)
        _reject(self.ready, ProcessFailed(f"the process ended before it was ready: {self.death}"))
        _resolve(self.ended, status)

    def _let_go(self) -> None:
        """Of all that refers back to this process: without cycles it is freed at once, not when the collector runs."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._relay is not None:
            self._relay.close()
            self._relay = None
        if self._deaf is not None:
            self._deaf.cancel()
            self._deaf = None


class TemplateGone(ProcessFailed):
    """The template died before it had made the process: the next template will make another."""


class Hung(ProcessFailed):
    """User code was not done in time; `stacks` is a traceback of where it was then, "" if that is not known."""

    def __init__(self, message: str, stacks: str) -> None:
        self.stacks = stacks
        super().__init__(message)


class InitFailure(ProcessFailed):
    """User code failed before any job ran; `report` says in which phase and where."""

    def __init__(self, report: InitFailed) -> None:
        self.report = report
        where = f" ({report.file}:{report.line})" if report.file else ""
        super().__init__(f"{report.phase} failed: {report.error}: {report.message}{where}")


async def answered_stacks(relay: OutputRelay, seconds: float) -> str:
    """What faulthandler was asked to write, once it has come through stderr; "" when it does not in this time."""
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.shield(relay.stacks)
    except TimeoutError:
        return ""


def _resolve(future: "asyncio.Future[T]", value: T) -> None:
    if not future.done():
        future.set_result(value)


def _reject(future: "asyncio.Future[T]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _look_at_exception(future: "asyncio.Future[T]") -> None:
    if not future.cancelled():
        future.exception()
