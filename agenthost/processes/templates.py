"""Handles of the base template and the agent templates: ask them for forks, notice when they hang or die.

Runs on the host's loop. A template is disposable: jobs are the host's children, so a dead template costs nothing but
the time to make another (`template_keeper.py`).
"""

import asyncio
import contextlib
import errno
import itertools
import signal
import socket
from collections import deque
from typing import Protocol

from msgspec import Struct
from msgspec.structs import replace

from agenthost import kernel
from agenthost.errors import ProcessFailed
from agenthost.ipc.messages import (
    PACKET_BYTES,
    Forked,
    ForkProcess,
    ForkRefused,
    Hello,
    InitFailed,
    Leave,
    Message,
    ModulesLoaded,
    TemplateReady,
    TemplateSpec,
    decode,
    encode,
)
from agenthost.logs.relay import OutputRelay
from agenthost.processes.child_process import Hung, InitFailure, TemplateGone, answered_stacks
from agenthost.processes.ends import ProcessEnds
from agenthost.processes.home import ProcessHome
from agenthost.processes.nameless_file import NamelessFile
from agenthost.processes.reaper import ExitStatus

_RETRY_SECONDS = 0.005
_DUMP_SECONDS = 1.0  # faulthandler answers in a signal handler; this is for its output to arrive
_DEATH_SECONDS = 1.0
HANG_SECONDS = 5.0
"""A template that owes us processes and gives no sign of life for so long is ended: the next one will fork."""

UNDER_WAY = 8
"""How many requests a template is sent ahead: enough never to wait for us. The others stay here, where they can be
dropped: on a machine that is too slow for its offers, those that are answered already would keep all others waiting
until they are too late as well."""

NUMBERS = itertools.count(1)


class Asked(Protocol):
    """What a process is to become in the host; `started` is done when it exists, or is not wanted any more."""

    started: asyncio.Future[int]

    def adopt(self, pid: int) -> None:
        """It exists and is our child."""

    def refuse(self, error: ProcessFailed) -> None:
        """There will be no such process."""


class _Request(Struct, frozen=True):
    """A fork that is to be asked for; `ends` have the file that comes along."""

    number: int
    packet: bytes
    ends: ProcessEnds
    asked: Asked


class Template:
    """The host's end of one template. `ready` is its report; `dead` is done when it can fork no more.

    `started` has its pid once it is our child; cancelled when that never happened.
    """

    def __init__(self, name: str, ends: ProcessEnds, home: ProcessHome) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[TemplateReady] = loop.create_future()
        self.dead: asyncio.Future[str] = loop.create_future()
        self.started: asyncio.Future[int] = loop.create_future()
        self.pid: int | None = None
        self.log = home.log
        self._name = name
        self._home = home
        self._socket = ends.channel
        self._socket.setblocking(False)
        self._relay = OutputRelay(ends.stdout, ends.stderr, ends.log, fields={"agent": name} if name else {})
        self._messages: deque[bytes] = deque()
        self._requests: deque[_Request] = deque()
        self._open: dict[int, Asked] = {}
        self._under_way = 0
        self._retry: asyncio.TimerHandle | None = None
        self._hang: asyncio.TimerHandle | None = None
        self._dying: asyncio.TimerHandle | None = None
        self._death = ""
        self._let_go = False
        self._modules: tuple[str, ...] = ()
        self._closing: asyncio.Task[None] | None = None
        self.ready.add_done_callback(lambda future: future.cancelled() or future.exception())
        loop.add_reader(self._socket, self._readable)

    def fork(self, request: ForkProcess, ends: ProcessEnds, asked: Asked) -> None:
        """Ask for a process with `ends`: it is adopted, or refused with a reason.

        One that is not wanted any more is not asked for, if there is still time, and nothing is said about it.
        """
        if self.dead.done():
            ends.close_theirs()
            asked.refuse(TemplateGone(f"the template is gone ({self.dead.result()})"))
            return
        packet = encode(request)
        if len(packet) > PACKET_BYTES:
            ends.close_theirs()
            sizes = f"the request has {len(packet)} bytes, {PACKET_BYTES} are possible"
            asked.refuse(ProcessFailed(f"what is handed to it is too large: {sizes}"))
            return
        self._open[request.number] = asked
        self._requests.append(_Request(request.number, packet, ends, asked))
        if self._hang is None:
            self._watch()  # who is asked again and again without an answer hangs all the same
        self._send_queued()

    def tell(self, message: Message) -> None:
        """Send a message that carries no descriptors."""
        self._messages.append(encode(message))
        self._send_queued()

    def dump_stacks(self) -> None:
        """Ask for the stacks of a template that hangs in an import; they arrive in its stderr."""
        if self.pid is not None:
            kernel.send_signal(self.pid, signal.SIGUSR1)

    async def stacks(self, *, seconds: float) -> str:
        """The same, and what it answers in this time: a traceback of what it is at."""
        self.dump_stacks()
        return await answered_stacks(self._relay, seconds)

    def refuse(self, error: ProcessFailed) -> None:
        """There will be no such template: the base could not fork it."""
        if not self.ready.done():
            self.ready.set_exception(error)
        self.close(str(error))

    def close(self, reason: str = "closed") -> None:
        """Let it end. Its jobs go on."""
        self._let_go = True
        if not self.dead.done():
            with contextlib.suppress(OSError):  # it hangs or is dead: then it cannot be told, and need not be
                self._socket.send(encode(Leave()))
        self._close(reason)

    async def silent(self) -> None:
        """After `close`: wait until what it said last is in the log."""
        if self._closing is not None:
            await self._closing

    def _close(self, reason: str) -> None:
        if self.dead.done():
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        loop.remove_writer(self._socket)
        for timer in (self._retry, self._hang, self._dying):
            if timer is not None:
                timer.cancel()
        self._socket.close()
        self.dead.set_result(reason)
        for request in self._requests:
            request.ends.close_theirs()
        self._requests.clear()
        if not self.ready.done():
            kind = ProcessFailed if self.started.done() else TemplateGone
            what = "the process that imports its code" if self._name else "the base process"
            self.ready.set_exception(kind(f"{what} ended before it was ready: {reason}"))
        self.started.cancel()
        self._closing = loop.create_task(self._close_output())

    def kill(self) -> None:
        if self.pid is not None and not self._death:
            kernel.send_signal(self.pid, signal.SIGKILL)
        self.close("killed")

    async def _close_output(self) -> None:
        try:
            async with asyncio.timeout(1.0):
                await self._relay.drained()
        except TimeoutError:
            pass
        self._relay.close()

    def adopt(self, pid: int) -> None:
        """It is our child with this pid from now on."""
        if self.started.done():
            return
        self.pid = pid
        self.started.set_result(pid)
        self._relay.bind(pid=pid)
        self._home.reaper.exited(pid).add_done_callback(self._exited)

    def _exited(self, future: "asyncio.Future[ExitStatus]") -> None:
        cause = self._death = self._home.oom.explain(future.result())
        if self._forks and not self._let_go:
            self.log.warning("template died", template=self._name or "base", pid=self.pid, cause=cause)
        # What it said last is still in the socket.
        while not self.dead.done() and self._receive_one():
            pass
        self._close(cause)

    @property
    def _forks(self) -> bool:
        return self.ready.done() and not self.ready.cancelled() and self.ready.exception() is None

    def _readable(self) -> None:
        self._receive_one()

    def _receive_one(self) -> bool:
        """False when there is nothing (more) to receive."""
        try:
            packet = self._socket.recv(PACKET_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            self._close(error.strerror or "socket error")
            return False
        if not packet:
            self._hung_up()
            return False
        self._received(decode(packet))
        return True

    def _hung_up(self) -> None:
        """Its end of the socket is gone: mostly because it died, and of what the reaper says in a moment."""
        if self._death:
            self._close(self._death)
        elif self.pid is None:  # never started
            self._close("it closed its socket")
        elif self._dying is None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._socket)
            self._dying = loop.call_later(_DEATH_SECONDS, self._close, "it closed its socket")

    def _received(self, message: Message) -> None:
        match message:
            case Hello():
                self.adopt(message.pid)
            case ModulesLoaded():
                self._modules += message.modules
            case TemplateReady():
                if not self.ready.done():
                    self.ready.set_result(replace(message, modules=self._modules))
            case InitFailed():
                if not self.ready.done():
                    self.ready.set_exception(InitFailure(message))
            case Forked():
                self._forked(message)
            case ForkRefused():
                self._answered(message.number).refuse(ProcessFailed(message.reason))
            case _:
                self.log.error("unexpected message", message_type=type(message).__name__, pid=self.pid)

    def _forked(self, message: Forked) -> None:
        asked = self._answered(message.number)
        if message.pid and not asked.started.done():
            asked.adopt(message.pid)

    def _answered(self, number: int) -> Asked:
        asked = self._open.pop(number)
        self._under_way -= 1
        self._watch()
        self._send_queued()
        return asked

    def _watch(self) -> None:
        """It gave a sign of life, or owes us something from now on: count anew how long it is silent."""
        if self._hang is not None:
            self._hang.cancel()
            self._hang = None
        if self._open and not self.dead.done():
            self._hang = asyncio.get_running_loop().call_later(HANG_SECONDS, self._hung)

    def _hung(self) -> None:
        self.log.error(
            "template hangs",
            agent=self._name,
            pid=self.pid,
            seconds=HANG_SECONDS,
            hint="its stacks follow; it is ended",
        )
        self.dump_stacks()
        self._hang = asyncio.get_running_loop().call_later(_DUMP_SECONDS, self.kill)

    def _send_queued(self) -> None:
        while not self.dead.done() and (pending := self._next()):
            packet, ends = pending
            try:
                socket.send_fds(self._socket, [packet], ends.theirs if ends is not None else ())
            except BlockingIOError:
                asyncio.get_running_loop().add_writer(self._socket, self._send_queued)
                return
            except OSError as error:
                self._not_sent(error)
                return
            if ends is None:
                self._messages.popleft()
                continue
            self._requests.popleft()
            self._under_way += 1
            ends.close_theirs()
        if not self.dead.done():
            asyncio.get_running_loop().remove_writer(self._socket)

    def _next(self) -> tuple[bytes, ProcessEnds | None] | None:
        """What is to be sent now, if anything; requests that nobody wants any more are dropped on the way."""
        if self._messages:
            return self._messages[0], None
        while self._requests and self._under_way < UNDER_WAY:
            request = self._requests[0]
            if not request.asked.started.done():
                return request.packet, request.ends
            self._requests.popleft()
            request.ends.close_theirs()
            del self._open[request.number]
            if not self._open:
                self._watch()
        return None

    def _not_sent(self, error: OSError) -> None:
        if error.errno != errno.ETOOMANYREFS:
            self._close(error.strerror or "socket error")
            return
        # Too many descriptors are on their way at once: the template has to take some out first.
        if self._retry is not None:
            self._retry.cancel()
        self._retry = asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._send_queued)


class MustNotFork(ProcessFailed):
    """Every interpreter of this environment has threads from its start on: a fork of one could hang.

    `culprits`: one text a thread.
    """

    def __init__(self, culprits: tuple[str, ...]) -> None:
        self.culprits = culprits
        super().__init__("forking is not safe: " + "; ".join(culprits))


def fork_template(base: Template, spec: TemplateSpec, home: ProcessHome) -> Template:
    """Ask the base for an agent template. Raises ProcessFailed when there are no descriptors for it."""
    with NamelessFile(encode(spec)) as file:  # its environment may have megabytes
        ends = ProcessEnds.open(packets=True, file=file.descriptor)
    template = Template(spec.agent, ends, home)
    request = ForkProcess(number=next(NUMBERS), kind="template")
    base.fork(request, ends, template)
    return template


async def wait_ready(template: Template, *, seconds: float, what: str) -> TemplateReady:
    """Its report. One that is not ready in time writes its stacks and is killed: Hung, `what` took too long.

    Raises InitFailure for what user code raised. Whoever stops waiting (cancelled) has no more use for it either.
    """
    try:
        async with asyncio.timeout(seconds):
            return await asyncio.shield(template.ready)
    except TimeoutError:
        stacks = await template.stacks(seconds=_DUMP_SECONDS)
        raise Hung(f"{what} ({seconds:g} s)", stacks) from None
    finally:
        if not template.ready.done() or template.ready.exception() is not None:
            template.kill()
