"""This process's own cgroups, version 1 and 2: where their files are, what limits its memory, whom the kernel killed.

Used where the file is read, and by the host. What the system does not tell is None here, never an error: neither a
load nor the explanation of a death may fail for want of a kernel file.
"""

import os
from pathlib import Path

from msgspec import Struct

_MOUNTS = Path("sys/fs/cgroup")
_MOST = 1 << 64  # no kernel counter is larger


class Cgroup(Struct, frozen=True, kw_only=True):
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


class MemoryLimit(Struct, frozen=True, kw_only=True):
    """The memory that the nearest group with a limit of its own may use; `folder` is where its files are."""

    version: int
    folder: Path
    bytes: int


def memory_limit(root: Path = Path("/")) -> MemoryLimit | None:
    """What limits the memory of this process to less than the machine has; None where nothing does."""
    group = own_cgroup("memory", root)
    if group is None:
        return None
    machine = read_entry(root / "proc/meminfo", "MemTotal")
    # Version 1 writes "no limit" as a number near 2^63; neither does one hold that is above what the machine has.
    no_limit = machine * 1024 if machine else 1 << 60
    name = "memory.max" if group.version == 2 else "memory.limit_in_bytes"
    for folder in group.folders:
        limit = read_number(folder / name)
        if limit is not None and 0 < limit < no_limit:
            return MemoryLimit(version=group.version, folder=folder, bytes=limit)
    return None


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


def dies_as_one(root: Path = Path("/")) -> bool:
    """Whether the kernel, when memory runs out, kills this process with all others of its cgroup instead of one.

    `memory.oom.group` of version 2, as Kubernetes sets it for containers: oom_score_adj counts for nothing then.
    """
    group = own_cgroup("memory", root)
    if group is None or group.version != 2:
        return False
    return any(read_number(folder / "memory.oom.group") == 1 for folder in group.folders)


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
