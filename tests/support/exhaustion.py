"""Running a living host out of what the system gives: descriptors, growing files, forks. Linux; needs no privileges.

Everything here is real for the host: the kernel refuses the call. It is switched on and off while the host runs.
"""

import contextlib
import resource
from collections.abc import Iterable, Iterator

import psutil


@contextlib.contextmanager
def no_descriptors(pid: int) -> Iterator[None]:
    """Inside, process `pid` cannot open anything more (EMFILE); what it has open stays open."""
    with _soft_limit(pid, resource.RLIMIT_NOFILE, 0):
        yield


@contextlib.contextmanager
def no_growing_files(pids: Iterable[int]) -> Iterator[None]:
    """Inside, these processes can write to no file on a disk (EFBIG), as if it were full; pipes and sockets work."""
    with contextlib.ExitStack() as stack:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                stack.enter_context(_soft_limit(pid, resource.RLIMIT_FSIZE, 0))
        yield


@contextlib.contextmanager
def _soft_limit(pid: int, kind: int, soft: int) -> Iterator[None]:
    before = resource.prlimit(pid, kind)
    resource.prlimit(pid, kind, (soft, before[1]))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            resource.prlimit(pid, kind, before)


def family(pid: int) -> list[int]:
    """`pid` and all processes below it."""
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
