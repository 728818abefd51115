"""What agenthost asks of the operating system beyond the standard library, and how it does without on macOS.

Used by the host and by its processes. Every function here is one fact or one act; none keeps state. On systems
without prctl or /proc the acts that only Linux knows do nothing and say so by their return value.
"""

import ctypes
import functools
import os
import resource
import signal
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

LINUX = sys.platform.startswith("linux")

MARKER = "AGENTHOST_HOST_ID"
"""Environment variable that every process of one host carries, with the host's random id as value.

It is in the environment the base template was exec'd with, so every descendant has it, forked or exec'd, however
it was detached, unless it was exec'd with an environment made from nothing.
"""

PROCESS_NUMBER = "AGENTHOST_PROCESS"
"""Environment variable of a job or hook process and of the programs it starts: the number of its fork request."""

LIVEKIT_PROXY = "AGENTHOST_LIVEKIT_PROXY"
"""What the host goes through to LiveKit's server, in the environment of its processes; empty: nothing."""

PAIR_PREFIX = "LIVEKIT_API_"
"""How the variables begin by which LiveKit's programs know the API key and secret."""

HELD_BACK = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
"""Blocked in a process of ours from its exec until it has its handlers: it cannot be told apart from its host before
it has made a session of its own. Not every Python can have the exec make it (those that uv installs cannot)."""

_IOLBF = 1
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36
_PROC = Path("/proc")


def become_subreaper() -> bool:
    """Orphans below this process become its children instead of init's. False where the kernel has no such thing."""
    return _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> bool:
    """SIGKILL for this process when the thread that is its parent ends; check the parent again afterwards."""
    return _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def outlive_parent() -> bool:
    """Not any more; SIGCONT instead, so that even a stopped process sees the end of its socket to the parent."""
    return _prctl(_PR_SET_PDEATHSIG, signal.SIGCONT)


def refuse_inspection() -> bool:
    """Let no process without the right to trace any read this one's memory, environment and open files, though it has
    the same user. What it execs is as open as ever; this process leaves no core dump."""
    return _prctl(_PR_SET_DUMPABLE, 0)


def _prctl(option: int, argument: int) -> bool:
    if not LINUX:
        return False
    if _libc().prctl(option, argument, 0, 0, 0) != 0:
        raise last_error("prctl")
    return True


@functools.cache
def _libc() -> ctypes.CDLL:
    """Opened once in a template: each use of something new in a forked process is memory that it has for itself."""
    return ctypes.CDLL(None, use_errno=True)


def without_pair(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without the API key and secret under their usual names."""
    return {name: value for name, value in environment.items() if not name.startswith(PAIR_PREFIX)}


def forget_variables(names: Iterable[str]) -> None:
    """Take variables out of this process's environment, and erase the values it was exec'd with.

    Those stay in memory otherwise, where `/proc/PID/environ` shows them, of this process and of all it forks.
    """
    getenv = _libc().getenv
    getenv.restype = ctypes.c_void_p
    for name in names:
        if value := getenv(os.fsencode(name)):
            ctypes.memset(value, 0, len(ctypes.string_at(value)))
        os.environ.pop(name, None)


def fork_untold() -> int:
    """A fork of which Python hears nothing: as `os.fork`, but no handler runs and no lock is made anew in the child.

    For a child that at once forks properly and exits: what the handlers write would be copied for nothing.
    """
    pid: int = libc_with_gil().fork()
    if pid < 0:
        raise last_error("fork")
    return pid


@functools.cache
def libc_with_gil() -> ctypes.PyDLL:
    """For calls that must not let another thread of Python's run meanwhile, or that call back."""
    return ctypes.PyDLL(None, use_errno=True)


def last_error(what: str) -> OSError:
    """Why a call of the C library has failed."""
    code = ctypes.get_errno()
    return OSError(code, os.strerror(code), what)


def raise_open_files() -> int:
    """Raise the soft limit of open files to the hard one; returns the old soft limit, which children shall get."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (ValueError, OSError):
        # macOS reports an unlimited hard limit that it does not grant
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(10240, hard), hard))
    return soft


def open_files_limit() -> int | None:
    """How many files and sockets this process may have open; None without a limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return None if soft == resource.RLIM_INFINITY else soft


def limit_open_files(soft: int) -> None:
    """Set this process's own soft limit of open files; more than the hard limit becomes the hard limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = soft if hard == resource.RLIM_INFINITY else min(soft, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def prefer_for_oom_kill(adjustment: int = 500) -> None:
    """Make the kernel's out-of-memory killer choose this process before its parent: `adjustment` more than it has.

    More, not exactly: an orchestrator gives whole containers an adjustment, and only root may go below it.
    """
    if LINUX:
        file = os.open("/proc/self/oom_score_adj", os.O_RDWR)  # without Python's files: see `_libc`
        try:
            os.pwrite(file, b"%d" % min(1000, int(os.pread(file, 16, 0)) + adjustment), 0)
        finally:
            os.close(file)


def line_buffer_native_output() -> None:
    """Have what native code prints by C's stdio leave at each newline, also into a pipe; forks inherit it."""
    stream = ctypes.c_void_p.in_dll(_libc(), "stdout" if LINUX else "__stdoutp")
    _libc().setvbuf(stream, None, _IOLBF, 0)


def flush_native_output() -> None:
    """Write what C's stdio holds: a fork would write it twice, `_exit` not at all."""
    _libc().fflush(None)


def advise(start: int, size: int, advice: int) -> bool:
    """madvise for a part of our memory; False where the kernel will not, or cannot."""
    return LINUX and _libc().madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), advice) == 0


def thread_count() -> int | None:
    """Threads of this process, native ones included; None where the system does not tell."""
    return len(os.listdir("/proc/self/task")) if LINUX else None  # noqa: PTH208 - called after every import


def marked_processes(host_id: str, *, spare: Iterable[int] = ()) -> Iterator[int]:
    """Processes (not zombies) that carry `host_id` in the environment they were exec'd with, but not `spare`."""
    if not LINUX:
        return
    spared = {os.getpid(), *spare}
    for entry in os.scandir(_PROC):
        if entry.name.isdigit() and int(entry.name) not in spared and started_with(int(entry.name), MARKER, host_id):
            yield int(entry.name)


def kill_marked(host_id: str, *, spare: Iterable[int] = ()) -> int:
    """SIGKILL to every process that carries `host_id`, until none is found; returns how many were hit.

    Bounded: something that forks faster than it is killed is left after 50 rounds.
    """
    killed = 0
    spared = frozenset(spare)
    for _ in range(50):
        found = list(marked_processes(host_id, spare=spared))
        if not found:
            break
        for pid in found:
            killed += send_signal(pid, signal.SIGKILL)
    return killed


def send_signal(pid: int, number: int) -> bool:
    """False when there is no such process any more."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def children() -> list[int]:
    """Pids of this process's children, zombies and adopted orphans included. Raises OSError without descriptors."""
    try:
        lists = [Path(task.path, "children").read_text() for task in os.scandir("/proc/self/task")]
    except FileNotFoundError:
        import psutil  # a kernel without /proc/*/children, or macOS

        return [child.pid for child in psutil.Process().children()]
    return [int(pid) for text in lists for pid in text.split()]


def descendants(pid: int) -> list[int]:
    """Pids of all processes below `pid` that can be seen from there: orphans have left the tree. Linux only."""
    found = []
    pending = [pid]
    while pending:
        below = _children_of(pending.pop())
        found += below
        pending += below
    return found


def _children_of(pid: int) -> list[int]:
    try:
        lists = [Path(task.path, "children").read_text() for task in os.scandir(_PROC / str(pid) / "task")]
    except OSError:
        return []  # it is gone, or the kernel has no such file
    return [int(child) for text in lists for child in text.split()]


def session_of(pid: int) -> int | None:
    """The session a process belongs to; None when it is gone."""
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def started_with(pid: int, variable: str, value: str) -> bool:
    """Whether the program that runs in `pid` was exec'd with this environment variable; False where unknown."""
    return start_variable(pid, variable) == value


def start_variable(pid: int, name: str) -> str | None:
    """What this environment variable was when the program that runs in `pid` was exec'd; None where unknown."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    begin = f"{name}=".encode()
    return next((os.fsdecode(each[len(begin) :]) for each in environment if each.startswith(begin)), None)


def private_memory(pid: int) -> int | None:
    """Bytes of memory that only this process has (USS); None when it is gone or cannot be read now."""
    if not LINUX:
        return _psutil_memory(pid)
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_bytes().splitlines()
    except OSError:
        return None
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(b"Private_"))


def _psutil_memory(pid: int) -> int | None:
    import psutil

    try:
        return int(psutil.Process(pid).memory_full_info().uss)
    except psutil.Error:
        return None
