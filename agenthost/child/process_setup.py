"""The first moments of a forked process: whose child it is, what it inherits, how it hears signals.

Runs in job, hook and template processes right after the fork, before any user code. Nothing of the template that
was forked may show: its descriptors, handlers, wake-up fd, random numbers and buffers are replaced here.
"""

import faulthandler
import io
import os
import random
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType

from msgspec import Struct

from agenthost import kernel
from agenthost.ipc.messages import ForkProcess


class Descriptors(Struct, frozen=True):
    """What the host sent along with a fork request, in this order; `file` where one came along."""

    channel: int
    stdout: int
    stderr: int
    log: int
    file: int | None = None

    @classmethod
    def of(cls, received: Sequence[int]) -> "Descriptors":
        """A program that user code starts must not hold them open: received descriptors are inheritable at first."""
        for descriptor in received:
            os.set_inheritable(descriptor, False)
        return cls(*received)

    def close(self) -> None:
        for descriptor in (self.channel, self.stdout, self.stderr, self.log, self.file):
            if descriptor is not None:
                os.close(descriptor)


def wait_for_host(intermediate: int, host_pid: int) -> None:
    """Return once the host is this process's parent and will take it along when it dies; exit if it is gone.

    `intermediate` is the first of the two forks; it exits at once, but what it shares with this one is torn down then.
    """
    while os.getppid() == intermediate:
        os.sched_yield()
    kernel.die_with_parent()
    if os.getppid() != host_pid:
        os._exit(1)  # the host was killed, or is not a subreaper: nobody would look after this process


def stand_alone() -> None:
    """For a process that was exec'd: end with the host, and have a session of its own (see `kernel.HELD_BACK`)."""
    kernel.die_with_parent()
    os.setsid()


def take_over(descriptors: Descriptors) -> None:
    """Make the host's pipes this process's standard streams and give it a session of its own."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(descriptors.stdout, 1)
    os.dup2(descriptors.stderr, 2)
    os.close(descriptors.stdout)
    os.close(descriptors.stderr)
    print_at_once()


def print_at_once() -> None:
    """A pipe makes Python's streams block-buffered; a print must reach the log when it happens.

    Nor shall a job fail for printing what UTF-8 cannot say (half an emoji out of a caller's JSON): it is escaped, as
    Python does on stderr. User code may have put streams of its own in their place, with or without such settings.
    """
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        if not isinstance(stream, io.TextIOWrapper) or stream.closed:
            continue
        if not stream.line_buffering:
            stream.reconfigure(line_buffering=True)
        if stream.errors in ("strict", "surrogateescape"):  # the latter is stdout's in the C locale (PEP 538)
            stream.reconfigure(errors="backslashreplace")


def show_arguments(script: str, arguments: Sequence[str]) -> None:
    """Have user code find in sys.argv what it would as `python script arguments`: ours are no business of its own."""
    sys.argv[:] = [script, *arguments]
    sys.orig_argv[:] = [sys.executable, *sys.argv]


def reset_signals() -> None:
    """Default handlers, then ours. A template does it after the user's import, and for all that it forks."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if signal.getsignal(number) not in (signal.SIG_DFL, signal.SIG_IGN, None):
            signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    # User code that ignores it has the kernel reap its children, and ours, whose exit codes somebody waits for.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    faulthandler.register(signal.SIGUSR1, file=2, all_threads=True)
    leave_signals_to_host()
    signal.pthread_sigmask(signal.SIG_SETMASK, ())  # last: what was held back comes now


def leave_signals_to_host() -> None:
    """The host alone decides when a process ends, also when a group is signalled. To be said again after a fork."""
    for number in _LEFT_TO_THE_HOST:
        signal.signal(number, _leave_to_host)


_LEFT_TO_THE_HOST = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _leave_to_host(_number: int, _frame: FrameType | None) -> None:
    """Not SIG_IGN: that would be inherited by a program which the user's code starts and later terminates."""


_masks = threading.local()


def _hold_back() -> None:
    """Until a forked child has the handlers that it is to have: meanwhile ours would hear a signal that ends it, and
    leave it running. So `multiprocessing.Pool` ends a worker that it has just started, and waits for ever."""
    _masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, _LEFT_TO_THE_HOST)


def _let_come() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _masks.before)


def _hear_again() -> None:
    """What user code forks ends by these signals as everywhere, unless the user's own handlers are in their place.

    At the fork and not in the handler: a signal that comes just before a blocking call would be handled after it.
    """
    for number in _LEFT_TO_THE_HOST:
        if signal.getsignal(number) is _leave_to_host:
            signal.signal(number, signal.SIG_DFL)
    _let_come()


os.register_at_fork(before=_hold_back, after_in_parent=_let_come, after_in_child=_hear_again)


def reseed() -> None:
    """Other random numbers than the template's other children."""
    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()


def limit_resources(request: ForkProcess) -> None:
    if request.open_files is not None:
        kernel.limit_open_files(request.open_files)
    kernel.prefer_for_oom_kill()
