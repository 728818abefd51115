"""Forking from a template by way of a process that ends at once, so that the new one becomes a child of the host.

Runs in the base and the agent templates, which have no loop and, but for `start_method: fork`, one thread. The host is
a subreaper: a template can therefore die at any time without a job noticing, and it never has a zombie to reap but the
intermediate process, which it awaits here. That one lives in the template's own memory where this is possible
(`brief_process.py`); else it is a fork, too.
"""

import errno
import os
import signal
import sys
import warnings
from collections.abc import Callable

from agenthost import kernel
from agenthost.child.brief_process import run_briefly
from agenthost.child.process_setup import wait_for_host


def fork_detached(prepare: Callable[[], None], run: Callable[[], int], host_pid: int) -> int:
    """Run `prepare` and `run` in a new process, and exit it with the code that `run` returns.

    From `run` on it is a child of the host and dies with it. `prepare` runs while the kernel still makes it one. The
    result is its pid, 0 where that is not known here; it is the host's child by then.
    Raises OSError (EAGAIN, ENOMEM) when the kernel refuses one of the two processes.
    """
    flush_output()  # what is buffered now would be written again by the child
    # User code that ignores SIGCHLD has the kernel reap our child, whose exit code is needed here.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)

    pid = 0

    def fork_the_new() -> int:
        nonlocal pid
        pid, refused = _fork_orphan(prepare, run, host_pid)
        return refused

    alone = kernel.thread_count() == 1
    intermediate = run_briefly(fork_the_new) if alone else None
    if intermediate is None:
        intermediate = _fork_intermediate(fork_the_new, alone=alone)
    _, status = os.waitpid(intermediate, 0)
    refused = os.waitstatus_to_exitcode(status)
    if refused < 0:
        os._exit(1)  # killed in the middle of it, which may have been our memory
    if refused:
        raise OSError(refused, os.strerror(refused), "fork")
    return pid  # set by a process that shared our memory, or else not here


def _fork_intermediate(fork_the_new: Callable[[], int], *, alone: bool) -> int:
    """The intermediate process as a fork."""
    # A lock that another thread holds just now is one that only Python's own way to fork sees to.
    intermediate = kernel.fork_untold() if alone else _fork_unwarned()
    if not intermediate:
        os._exit(fork_the_new())
    return intermediate


def _fork_unwarned() -> int:
    """Python 3.12 and newer warn of threads, a handler of the user's may have started one, and who makes an error of
    warnings would have no process.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _fork_orphan(prepare: Callable[[], None], run: Callable[[], int], host_pid: int) -> tuple[int, int]:
    """In the intermediate process: make the new one. Its pid, and 0 or the error of a refusal."""
    first = os.getpid()
    try:
        if pid := _fork_unwarned():
            return pid, 0
    except OSError as error:
        return 0, error.errno or errno.EAGAIN

    def begin() -> int:
        prepare()
        wait_for_host(first, host_pid)
        return run()

    exit_with(begin)
    raise AssertionError("unreachable")


def exit_with(run: Callable[[], int]) -> None:
    """Call `run` and leave the process by `_exit`: no atexit handlers, no finalisers of the template's copies."""
    code = 1
    try:
        code = run()
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        flush_output()
        os._exit(code)


def flush_output() -> None:
    """Write what Python and C's stdio hold; what user code put in place of sys.stdout holds text, too."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError):
            pass  # the reader of the pipe is gone, or user code closed the stream: nothing can be told there
    kernel.flush_native_output()
