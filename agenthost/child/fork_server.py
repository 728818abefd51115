"""The loop of a template: wait for fork requests of the host, fork, report what could not be.

Runs in the base and in the agent templates: one thread, no event loop. Requests come over a SEQPACKET socket, one
packet a message, each with the descriptors of the process to be. When the host is gone, one of its templates kills
every process that carries its marker, and all end: promise 7 holds even for a host that was SIGKILLed.
"""

import os
import socket
import time
from collections.abc import Callable

from msgspec.structs import replace

from agenthost import kernel
from agenthost.child.exit_functions import forget_the_templates
from agenthost.child.forking import fork_detached
from agenthost.child.process_setup import (
    Descriptors,
    leave_signals_to_host,
    limit_resources,
    reseed,
    reset_signals,
    take_over,
)
from agenthost.ipc.messages import (
    PACKET_BYTES,
    Forked,
    ForkProcess,
    ForkRefused,
    Leave,
    Message,
    ModulesLoaded,
    TemplateReady,
    decode,
    encode,
)

_HOST_END_SECONDS = 30.0  # on a machine that has no time for it, a host takes long to be dead
_MODULES_A_PACKET = 60  # a path has at most 4096 bytes

Run = Callable[[ForkProcess, Descriptors], int]


class ForkServer:
    """Serves the requests that arrive on `control`; `run` is what each new process does."""

    def __init__(
        self,
        control: socket.socket,
        *,
        host_pid: int,
        host_id: str,
        run: Run,
    ) -> None:
        self._control = control
        self._host_pid = host_pid
        self._host_id = host_id
        self._run = run
        self._dismissed = False

    def send(self, message: Message) -> None:
        self._control.send(encode(message))

    def report(self, ready: TemplateReady) -> None:
        """Say that user code is loaded, in as many packets as its modules need."""
        for start in range(0, len(ready.modules), _MODULES_A_PACKET):
            self.send(ModulesLoaded(modules=ready.modules[start : start + _MODULES_A_PACKET]))
        self.send(replace(ready, modules=()))

    def serve(self) -> int:
        """Until the host wants no more or dies; returns the exit code of the template."""
        reset_signals()
        try:
            while request := self._receive():
                self._serve(*request)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the host died in the middle of a conversation
        if not self._dismissed and self._host_is_gone():
            self._end_all()
        return 0

    def _receive(self) -> tuple[ForkProcess, Descriptors] | None:
        packet, received, _, _ = socket.recv_fds(self._control, PACKET_BYTES, 5)
        if not packet:
            return None
        request = decode(packet)
        if isinstance(request, Leave):
            self._dismissed = True
            return None
        assert isinstance(request, ForkProcess)
        return request, Descriptors.of(received)

    def _serve(self, request: ForkProcess, descriptors: Descriptors) -> None:
        try:
            self.send(self._fork(request, descriptors))
        finally:
            descriptors.close()

    def _fork(self, request: ForkProcess, descriptors: Descriptors) -> Forked | ForkRefused:
        number = request.number
        if (threads := kernel.thread_count() or 1) > 1:  # whatever a handler of `os.register_at_fork` did
            return ForkRefused(number=number, reason=f"forking is not safe: there are {threads - 1} other threads")
        try:
            pid = fork_detached(
                lambda: self._prepare(request, descriptors), lambda: self._run(request, descriptors), self._host_pid
            )
        except OSError as error:
            return ForkRefused(number=number, reason=f"the kernel refused to fork: {error.strerror}")
        return Forked(number=number, pid=pid)

    def _prepare(self, request: ForkProcess, descriptors: Descriptors) -> None:
        """In the new process: nothing of the template shows any more."""
        self._control.close()
        forget_the_templates()
        take_over(descriptors)
        leave_signals_to_host()
        reseed()
        if request.kind != "template":
            os.environ[kernel.PROCESS_NUMBER] = str(request.number)
            limit_resources(request)
            os.environ.update(request.credentials)

    def _host_is_gone(self) -> bool:
        """The kernel closes a dying process's sockets a moment before it takes its children away."""
        deadline = time.monotonic() + _HOST_END_SECONDS
        while os.getppid() == self._host_pid:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True

    def _end_all(self) -> None:
        """Unless another template is at it: two would kill each other first, and leave the rest."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as claim:
            try:
                claim.bind(f"\0agenthost end of {self._host_id}")  # a name without a file, gone with this process
            except OSError:
                return
            kernel.kill_marked(self._host_id)
