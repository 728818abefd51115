"""Where the control socket of an agenthost file is: the one rule for the host and for the commands that look for it."""

import os
from collections.abc import Mapping
from pathlib import Path

from agenthost.runtime_folder import held_files, name_for, runtime_folder, runtime_folder_path

SUFFIX = ".sock"
LOCK_SUFFIX = ".lock"
"""Appended to the name of a socket: the file beside it that its host holds."""


def default_path(file: Path, environ: Mapping[str, str]) -> Path:
    """The socket of the host that runs `file`, unless the file says otherwise."""
    return runtime_folder_path(environ) / f"{name_for(file)}{SUFFIX}"


def socket_path(file: Path, configured: str | None, environ: Mapping[str, str]) -> Path:
    """Where `control.socket` says, a relative path from the file's folder; None there means the default path."""
    if configured is None:
        return default_path(file, environ)
    return file.absolute().parent / Path(configured).expanduser()


def held_sockets(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Those at default paths whose hosts live, whatever they run, the newest first."""
    locks = held_files(runtime_folder(environ), f"*{SUFFIX}{LOCK_SUFFIX}")
    return tuple(lock.with_suffix("") for lock in locks)


def lock_path(path: Path) -> Path:
    """The file that the owner of the socket `path` holds as long as it lives."""
    return path.with_name(path.name + LOCK_SUFFIX)


def sendable_length(path: Path) -> bool:
    """Whether the system takes a path of this length as the address of a socket (107 bytes on Linux)."""
    return len(os.fsencode(path)) <= _LONGEST


_LONGEST = 103  # macOS; Linux would take four more
