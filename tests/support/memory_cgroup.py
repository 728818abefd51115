"""A memory cgroup of a test's own, version 1 or 2, whichever this machine has: a host is started inside of it.

Needs root and a cgroup file system that may be written, as in CI. Where that is missing a test fails and says so; it
never skips. Leave such tests out knowingly with `-m 'not machine'`.
"""

import os
import secrets
import time
from pathlib import Path
from types import TracebackType

from agenthost.cgroups import own_cgroup, parse_count, read_entry

_NEEDS = "this test needs root and a memory cgroup that may be written; leave it out with -m 'not machine'"
_GONE_SECONDS = 5.0


class MemoryCgroup:
    """`with MemoryCgroup(limit) as group:` has at most `limit` bytes, swap included.

    `enter` is what to put before a command for it to run inside.
    """

    def __init__(self, limit: int, *, kill_as_one: bool = False) -> None:
        self.version, parent = _place()
        self.folder = parent / f"agenthost-test-{secrets.token_hex(6)}"
        self._limit = limit
        self._kill_as_one = kill_as_one

    @property
    def enter(self) -> tuple[str, ...]:
        return ("/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', str(self.folder / "cgroup.procs"))

    @property
    def oom_kills(self) -> int:
        """How many processes in it the kernel has killed for want of memory."""
        name = "memory.events" if self.version == 2 else "memory.oom_control"
        count = read_entry(self.folder / name, "oom_kill")
        assert count is not None, "this kernel does not count OOM kills"
        return count

    def pids(self) -> set[int]:
        """The processes in it."""
        return {int(word) for word in (self.folder / "cgroup.procs").read_text().split() if parse_count(word)}

    def __enter__(self) -> "MemoryCgroup":
        self.folder.mkdir()
        try:
            self._restrict()
        except BaseException:
            self.folder.rmdir()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Everything in it was ended by whoever started it; the kernel takes a moment to notice."""
        deadline = time.monotonic() + _GONE_SECONDS
        while True:
            try:
                self.folder.rmdir()
                return
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def _restrict(self) -> None:
        if self.version == 2:
            self._write("memory.max", self._limit)
            self._write("memory.swap.max", 0, optional=True)  # there is none where the kernel has no swap
            self._write("memory.oom.group", int(self._kill_as_one))
        else:
            self._write("memory.limit_in_bytes", self._limit)
            self._write("memory.swappiness", 0)

    def _write(self, name: str, value: int, *, optional: bool = False) -> None:
        if not optional or (self.folder / name).exists():
            (self.folder / name).write_text(f"{value}\n")


def cgroup_version() -> int:
    """The version of this machine's memory controller."""
    return _place()[0]


def _place() -> tuple[int, Path]:
    """The version of the memory controller, and the nearest group in which another may be made."""
    own = own_cgroup("memory")
    assert own is not None, _NEEDS
    for folder in own.folders:
        # Version 2 has controllers only below groups that hand them on, which those with processes cannot.
        hands_on = own.version == 1 or "memory" in _controllers(folder)
        if hands_on and folder.is_dir() and os.access(folder, os.W_OK):
            return own.version, folder
    raise AssertionError(_NEEDS)


def _controllers(folder: Path) -> list[str]:
    file = folder / "cgroup.subtree_control"
    return file.read_text().split() if file.exists() else []
