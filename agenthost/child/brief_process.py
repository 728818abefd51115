"""A process that lives for a moment in its parent's memory, as `vfork` has it: to fork from a template, and be gone.

Runs in templates. What is forked by a process that ends at once becomes the child of the host (`forking.py`). That
process could be a fork itself, but then the tables of a template's memory are copied twice and taken down once for
every job: half of what a job costs, while nothing but the fork is done with them.
"""

import ctypes
import errno
import functools
import os
import resource
import signal
from collections.abc import Callable

from agenthost import kernel

_CLONE_VM = 0x100
_CLONE_FS = 0x200
_CLONE_FILES = 0x400
_CLONE_SIGHAND = 0x800
_CLONE_VFORK = 0x4000
_SHARING = _CLONE_VM | _CLONE_FS | _CLONE_FILES | _CLONE_SIGHAND
_BELOW = 32 * 1024  # our own frames, and those of the call that makes the process, are above that
_STACK_BYTES = 1024 * 1024  # what we count on, below: what is forked goes on there for all its life

_POINTER_FILE = "/proc/self/syscall"  # number and arguments of the system call that is at it, stack pointer, place

_NOT_ALLOWED = (errno.EPERM, errno.EINVAL, errno.ENOSYS)
"""How a sandbox refuses what it does not know, which a fork is not."""

_THREAD_LEFT = b"""\
a handler of os.register_at_fork, of your code or of what it imports, has started a thread while a process was forked: \
the template has to be made anew. Start it in after_in_child, or say `start_method: spawn`
"""

_Body = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)


def run_briefly(body: Callable[[], int]) -> int | None:
    """Call `body` in a process of its own, wait until it has ended, and return its pid: it is still to be reaped.

    What `body` returns is the exit code; it may raise nothing. Until then this process stands still, and all that
    `body` changes is changed here as well, in memory, of descriptors, signal handlers and the working directory: should
    it be killed, this process must end, too. It kills itself if `body` leaves a thread, which would go on here. A
    process that `body` forks has all that for itself, and the stack of a main thread. None: this system has no such
    thing, nothing was called. Raises OSError when the kernel refuses. For a process with one thread.
    """
    top = _stack_pointer()
    if top is None:
        return None
    called = _Body(lambda _: _alone(body))
    stack = ctypes.c_void_p((top - _BELOW) & ~0xFF)
    pid: int = kernel.libc_with_gil().clone(called, stack, _SHARING | _CLONE_VFORK | signal.SIGCHLD, None)
    if pid < 0:
        error = kernel.last_error("clone")
        if error.errno in _NOT_ALLOWED:
            return None
        raise error
    return pid


def _alone(body: Callable[[], int]) -> int:
    code = body()
    if (kernel.thread_count() or 1) > 1:
        os.write(2, _THREAD_LEFT)
        os.kill(os.getpid(), signal.SIGKILL)
    return code


def _stack_pointer() -> int | None:
    """About where our stack ends; None where that cannot be told, or there is not enough of it."""
    if not _has_room():
        return None
    try:
        file = os.open(_POINTER_FILE, os.O_RDONLY)
        try:
            return int(os.read(file, 200).split()[-2], 16)
        finally:
            os.close(file)
    except (OSError, ValueError, IndexError):
        return None


@functools.cache
def _has_room() -> bool:
    soft, _ = resource.getrlimit(resource.RLIMIT_STACK)
    return kernel.LINUX and (soft == resource.RLIM_INFINITY or soft >= 2 * _STACK_BYTES)
