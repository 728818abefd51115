"""Forking from a template: twice, so that the new process becomes a child of the host, the subreaper.

Runs in the base and the agent templates, which have no loop and, but for `start_method: fork`, one thread. A template
can therefore die at any time without a job noticing, and it never has a zombie to reap but the intermediate process,
which it awaits here.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable

from agenthost import kernel
from agenthost.child.process_setup import wait_for_host


def fork_detached(prepare: Callable[[], None], run: Callable[[], int], host_pid: int) -> None:
    """Run `prepare` and `run` in a new process, and exit it with the code that `run` returns.

    From `run` on it is a child of the host and dies with it. `prepare` runs while the kernel still makes it one.
    Raises OSError (EAGAIN, ENOMEM) when the kernel refuses one of the two forks.
    """
    flush_output()  # what is buffered now would be written again by the child
    # User code that ignores SIGCHLD has the kernel reap our child, whose exit code is needed here.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # A lock that another thread holds just now is one that only Python's own way to fork sees to.
    intermediate = kernel.fork_untold() if threading.active_count() == 1 else os.fork()
    if intermediate:
        _, status = os.waitpid(intermediate, 0)
        refused = os.waitstatus_to_exitcode(status)
        if refused:
            raise OSError(abs(refused), os.strerror(abs(refused)), "fork")
        return
    first = os.getpid()
    try:
        grandchild = os.fork()
    except OSError as error:
        os._exit(error.errno or 1)
    if grandchild:
        os._exit(0)

    def begin() -> int:
        prepare()
        wait_for_host(first, host_pid)
        return run()

    exit_with(begin)


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
