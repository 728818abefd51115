"""Why a process of ours ended, in one phrase; and this process's own cgroup, which knows whom the kernel took.

Runs in the host. The phrase is pure; the count of out-of-memory kills is read from the cgroup that the host shares with
its jobs, before a job and after it. What the system does not tell is None here, never an error: an explanation must
not fail.
"""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

from agenthost.processes.reaper import ExitStatus

_MOUNTS = Path("sys/fs/cgroup")
_MIB = 1 << 20
_MOST = 1 << 64  # no kernel counter is larger


def explain_exit(
    status: ExitStatus | None,
    *,
    oom_kills_before: int | None,
    oom_kills_after: int | None,
    killed_because: str,
) -> str:
    """How a process ended and, as far as can be told, why: `exit code 3`, `killed by signal SIGKILL (…)`.

    `status` None: it was never started. The counts are those of `oom_kill_count` when the process began and after it
    ended, None where unknown. `killed_because` is the host's own reason for a SIGKILL, "" when the host sent none.
    """
    if status is None:
        return "it was never started"
    if status.signal is None:
        return str(status)
    killed = f"killed by {status}"
    if status.signal != signal.SIGKILL:
        return killed
    if killed_because:
        return f"{killed} (by the host: {killed_because})"
    resident = f", {status.max_rss // _MIB} MiB resident" if status.max_rss else ""
    if oom_kills_before is not None and oom_kills_after is not None and oom_kills_after > oom_kills_before:
        return f"{killed} (out of memory: the kernel's OOM killer took it{resident})"
    return f"{killed} (maybe out of memory, or an operator{resident})"


class OomWatch:
    """The cgroup's count of OOM kills, looked at only when a process was killed: what it was before, and is now."""

    def __init__(self) -> None:
        self._seen = oom_kill_count()

    def look(self) -> tuple[int | None, int | None]:
        """The count at the last look, and now."""
        before, self._seen = self._seen, oom_kill_count()
        return before, self._seen


def oom_kill_count(root: Path = Path("/")) -> int | None:
    """How many processes of this process's cgroup the kernel has killed for want of memory; None where it is not told.

    `root` is where /proc and /sys are found. Counts whichever limit was reached: the cgroup's own, or one above it.
    """
    group = own_cgroup("memory", root)
    if group is None:
        return None
    name = "memory.events" if group.version == 2 else "memory.oom_control"
    for folder in group.folders:
        count = read_entry(folder / name, "oom_kill")
        if count is not None:
            return count
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cgroup:
    """Where one controller's files of this process are: `folders` begins with its own group and ends at the mount.

    A folder need not exist: in a container /proc may tell the name that the group has outside, while the mount, which
    is then the group itself, knows nothing of it.

    `path` is the group's name as /proc tells it; two controllers of version 1 share a group when their paths are equal.
    """

    version: int
    path: str
    folders: tuple[Path, ...]


def own_cgroup(controller: str, root: Path = Path("/")) -> Cgroup | None:
    """The cgroup of this process for `controller` (memory, cpu, cpuacct); None where there is none.

    Version 1 wins where both are mounted: a controller belongs to one of them, and only version 1 names it in /proc.
    """
    unified: str | None = None
    for line in (read_text(root / "proc/self/cgroup") or "").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controller in controllers.split(","):
            return _cgroup(1, path, (root / _MOUNTS / controllers, root / _MOUNTS / controller))
        if line.startswith("0::"):
            unified = path
    if unified is None:
        return None
    return _cgroup(2, unified, (root / _MOUNTS / "unified", root / _MOUNTS))


def _cgroup(version: int, path: str, mounts: tuple[Path, ...]) -> Cgroup | None:
    mount = next((mount for mount in mounts if mount.is_dir()), None)
    if mount is None:
        return None
    parts = Path(path.lstrip("/")).parts
    if ".." in parts:
        parts = ()  # a group outside of our cgroup namespace: all we can see is the mount
    folders = tuple(mount.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1))
    return Cgroup(version=version, path=path, folders=folders)


def read_text(path: Path) -> str | None:
    """A kernel file's text; None when it is not there or may not be read."""
    try:
        with path.open("rb", buffering=0) as file:  # read in one go: a buffer would only cost time
            return os.fsdecode(file.readall())
    except OSError:
        return None


def read_number(path: Path) -> int | None:
    """The first number in a kernel file; None for `max`, for what is not a number, and for a missing file."""
    words = (read_text(path) or "").split()
    return parse_count(words[0]) if words else None


def read_entry(path: Path, name: str) -> int | None:
    """The number after `name` (or `name:`) in a kernel file of one name and value a line."""
    for line in (read_text(path) or "").splitlines():
        words = line.split()
        if len(words) >= 2 and words[0].rstrip(":") == name:
            return parse_count(words[1])
    return None


def parse_count(word: str) -> int | None:
    """A counter or size of the kernel; None for anything but digits, and for more than 64 bits."""
    if not (word.isascii() and word.isdecimal()) or len(word) > 20:
        return None
    value = int(word)
    return value if value < _MOST else None
