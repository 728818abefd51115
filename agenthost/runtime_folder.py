"""The folder for what lives only as long as a process: control sockets, connection files, the local server's keys.

`$XDG_RUNTIME_DIR/agenthost`, else `agenthost-<uid>` in `$TMPDIR`, /tmp, /var/tmp or /dev/shm; mode 0700, ours alone.
A file in it that its process *holds* (`HeldFile`) is locked as long as that process lives, so what a killed process
left behind is recognised without guessing from pids or ages.
"""

import fcntl
import hashlib
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Self

from agenthost.errors import EnvironmentRefused

_TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm")


def runtime_folder_path(environ: Mapping[str, str]) -> Path:
    """Where the folder is; it need not exist yet, and may turn out not to be ours."""
    given = environ.get("XDG_RUNTIME_DIR")
    if given and Path(given).is_dir():  # containers and `su` leave it set to what is not there
        return Path(given) / "agenthost"
    return Path(environ.get("TMPDIR") or _temporary()) / f"agenthost-{os.getuid()}"


def _temporary() -> str:
    """Not `tempfile.gettempdir`: without a /tmp that is the current folder, and another command has another one.

    /dev/shm is what a container with a read-only root can still write to.
    """
    return next((folder for folder in _TEMPORARY if os.access(folder, os.W_OK | os.X_OK)), _TEMPORARY[0])


def runtime_folder(environ: Mapping[str, str]) -> Path:
    """The folder, made if need be. Raises EnvironmentRefused when it is not ours alone or cannot be made."""
    folder = runtime_folder_path(environ)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise EnvironmentRefused(f"cannot make {folder}: {error.strerror}; set XDG_RUNTIME_DIR or TMPDIR") from error
    if not os.access(folder, os.W_OK):
        raise EnvironmentRefused(f"cannot write to {folder}: set XDG_RUNTIME_DIR or TMPDIR")
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        # /tmp is everybody's: whoever made this name first could read the keys or replace a socket
        raise EnvironmentRefused(
            f"{folder} is not a folder of mode 0700 of this user; remove it or set XDG_RUNTIME_DIR"
        )
    return folder


def is_private(folder: Path) -> bool:
    """Whether nobody but this user can make, replace or lock anything in `folder`."""
    found = folder.stat()
    return found.st_uid == os.getuid() and not found.st_mode & 0o077


def name_for(file: Path) -> str:
    """The name under which things that belong to one config file stand in the folder."""
    return hashlib.sha256(os.fsencode(file.absolute())).hexdigest()[:16]


class HeldFile:
    """A file of mode 0600 that is locked until `remove` or the end of this process."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def create(cls, path: Path, text: str) -> Self:
        """Write `text` to `path`; a file that another process holds there loses its name to this one."""
        with _exclusive(path.parent):
            path.unlink(missing_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with open(descriptor, "w", encoding="utf-8", closefd=False) as file:
                file.write(text)
            now = time.time_ns()
            os.utime(path, ns=(now, now))  # the kernel's own stamp is too coarse to tell which came last
        return cls(path, descriptor)

    @classmethod
    def claim(cls, path: Path, text: str) -> Self | None:
        """Write `text` to `path`, unless another process holds a file there: then None, and nothing is changed.

        Also for folders that are not ours alone; nobody there can keep this process waiting.
        """
        with _serialized(path.parent):
            while True:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
                if not _lock(descriptor):
                    os.close(descriptor)
                    return None
                if _same_file(descriptor, path):
                    break
                os.close(descriptor)  # its owner ended and removed it between our opening and locking it
            os.ftruncate(descriptor, 0)
            os.write(descriptor, text.encode())
        return cls(path, descriptor)

    def remove(self) -> None:
        """Delete the file, unless another process took over its name, and let go of it. Twice does no harm."""
        if self._descriptor < 0:
            return
        with _serialized(self.path.parent):
            if _same_file(self._descriptor, self.path):
                self.path.unlink()
            os.close(self._descriptor)
            self._descriptor = -1


def held_files(folder: Path, pattern: str) -> tuple[Path, ...]:
    """The files matching `pattern` whose process lives, the newest first."""
    with _exclusive(folder):
        held = [path for path in folder.glob(pattern) if _is_held(path)]
        return tuple(sorted(held, key=lambda path: path.stat().st_mtime_ns, reverse=True))


def remove_abandoned(folder: Path, pattern: str, *, with_stem: bool = False) -> None:
    """Delete the files matching `pattern` whose process ended without removing them (SIGKILL, power loss).

    `with_stem`: such a file guards the one of the same name without the last suffix, which is deleted with it.
    """
    with _exclusive(folder):
        for path in folder.glob(pattern):
            if _is_held(path):
                continue
            if with_stem:
                path.with_suffix("").unlink(missing_ok=True)
            path.unlink()


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """One process at a time: between the making of a file and its lock it would look abandoned."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _serialized(folder: Path) -> AbstractContextManager[None]:
    """As `_exclusive`, but only where nobody else can hold us up; the file locks themselves are enough elsewhere."""
    return _exclusive(folder) if folder.exists() and is_private(folder) else nullcontext()


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_held(path: Path) -> bool:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
