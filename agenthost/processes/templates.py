"""Handles of the base template and the agent templates: start them, ask them for forks, notice when they die.

Runs on the host's loop. A template is disposable: jobs are the host's children, so a dead template costs nothing but
the time to make another, which whoever needs it next asks for (`Base.template`, `AgentTemplate` is then dead).
"""

import asyncio
import errno
import itertools
import signal
import socket
from collections import deque
from collections.abc import Callable

from agenthost import kernel
from agenthost.errors import ProcessFailed
from agenthost.ipc.messages import (
    ForkProcess,
    ForkRefused,
    Hello,
    InitFailed,
    Message,
    TemplateReady,
    TemplateSpec,
    decode,
    encode,
)
from agenthost.logs.relay import OutputRelay
from agenthost.processes.child_process import InitFailure
from agenthost.processes.ends import ProcessEnds
from agenthost.processes.home import ProcessHome
from agenthost.processes.reaper import ExitStatus

PACKET_BYTES = 256 * 1024
_RETRY_SECONDS = 0.005
NUMBERS = itertools.count(1)


class Template:
    """The host's end of one template. `ready` is its report; `dead` is done when it can fork no more."""

    def __init__(self, name: str, ends: ProcessEnds, home: ProcessHome) -> None:
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[TemplateReady] = loop.create_future()
        self.dead: asyncio.Future[str] = loop.create_future()
        self.pid: int | None = None
        self.log = home.log
        self._name = name
        self._home = home
        self._socket = ends.channel
        self._socket.setblocking(False)
        self._relay = OutputRelay(ends.stdout, ends.stderr, ends.log, fields={"agent": name} if name else {})
        self._queue: deque[tuple[bytes, ProcessEnds | None]] = deque()
        self._refusals: dict[int, Callable[[str], None]] = {}
        self._exit: ExitStatus | None = None
        self._closing: asyncio.Task[None] | None = None
        self.ready.add_done_callback(lambda future: future.cancelled() or future.exception())
        loop.add_reader(self._socket, self._readable)

    def fork(self, request: ForkProcess, ends: ProcessEnds, refused: Callable[[str], None]) -> None:
        """Ask for a process with `ends`; it says Hello on its own channel, or `refused` is called with a reason."""
        if self.dead.done():
            ends.close_theirs()
            refused(f"the template is gone ({self.dead.result()})")
            return
        self._refusals[request.number] = refused
        self._queue.append((encode(request), ends))
        self._send_queued()

    def tell(self, message: Message) -> None:
        """Send a message that carries no descriptors."""
        self._queue.append((encode(message), None))
        self._send_queued()

    def forked(self, number: int) -> None:
        """The process of this request exists: it can no longer be refused."""
        self._refusals.pop(number, None)

    def dump_stacks(self) -> None:
        """Ask for the stacks of a template that hangs in an import; they arrive in its stderr."""
        if self.pid is not None:
            kernel.send_signal(self.pid, signal.SIGUSR1)

    def close(self, reason: str = "closed") -> None:
        """Let it end: a template leaves when its socket is closed. Its jobs go on."""
        if self.dead.done():
            return
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._socket)
        loop.remove_writer(self._socket)
        self._socket.close()
        self.dead.set_result(reason)
        for _, ends in self._queue:
            if ends is not None:
                ends.close_theirs()
        self._queue.clear()
        if not self.ready.done():
            self.ready.set_exception(ProcessFailed(f"the template of {self._name or 'the base'} ended: {reason}"))
        self._closing = loop.create_task(self._close_output())

    def kill(self) -> None:
        if self.pid is not None and self._exit is None:
            kernel.send_signal(self.pid, signal.SIGKILL)
        self.close("killed")

    async def _close_output(self) -> None:
        try:
            async with asyncio.timeout(1.0):
                await self._relay.drained()
        except TimeoutError:
            pass
        self._relay.close()

    def born(self, pid: int) -> None:
        """It is our child with this pid from now on."""
        self.pid = pid
        self._relay.bind(pid=pid)
        self._home.reaper.exited(pid).add_done_callback(self._exited)

    def _exited(self, future: "asyncio.Future[ExitStatus]") -> None:
        self._exit = future.result()
        # What it said last is still in the socket.
        while not self.dead.done() and self._receive_one():
            pass
        self.close(str(self._exit))

    def _readable(self) -> None:
        self._receive_one()

    def _receive_one(self) -> bool:
        """False when there is nothing (more) to receive."""
        try:
            packet = self._socket.recv(PACKET_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            self.close(error.strerror or "socket error")
            return False
        if not packet:
            self.close("it closed its socket" if self._exit is None else str(self._exit))
            return False
        self._received(decode(packet))
        return True

    def _received(self, message: Message) -> None:
        match message:
            case Hello():
                self.born(message.pid)
            case TemplateReady():
                if not self.ready.done():
                    self.ready.set_result(message)
            case InitFailed():
                if not self.ready.done():
                    self.ready.set_exception(InitFailure(message))
            case ForkRefused():
                refused = self._refusals.pop(message.number, None)
                if refused is not None:
                    refused(message.reason)
            case _:
                self.log.error("unexpected message", message_type=type(message).__name__, pid=self.pid)

    def _send_queued(self) -> None:
        loop = asyncio.get_running_loop()
        while self._queue:
            packet, ends = self._queue[0]
            try:
                socket.send_fds(self._socket, [packet], ends.theirs if ends is not None else ())
            except BlockingIOError:
                loop.add_writer(self._socket, self._send_queued)
                return
            except OSError as error:
                if error.errno == errno.ETOOMANYREFS:
                    # Too many descriptors are on their way at once: the template has to take some out first.
                    loop.call_later(_RETRY_SECONDS, self._send_queued)
                    return
                self.close(error.strerror or "socket error")
                return
            self._queue.popleft()
            if ends is not None:
                ends.close_theirs()
        loop.remove_writer(self._socket)


def fork_template(base: Template, spec: TemplateSpec, home: ProcessHome) -> Template:
    """Ask the base for an agent template. Raises ProcessFailed when there are no descriptors for it."""
    ends = ProcessEnds.open(packets=True)
    template = Template(spec.agent, ends, home)
    request = ForkProcess(number=next(NUMBERS), kind="template", spec=spec)
    base.fork(request, ends, template.close)
    return template
