"""Where the control socket of an agenthost file is: the one rule for the host and for the commands that look for it."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from agenthost.runtime_folder import held_files, is_private, name_for, runtime_folder_path

SUFFIX = ".sock"
LOCK_SUFFIX = ".lock"
"""Appended to the name of a socket: the file beside it that its host holds."""


def default_path(file: Path, environ: Mapping[str, str]) -> Path:
    """The socket of the host that runs `file`, unless the file says otherwise."""
    return runtime_folder_path(environ) / f"{name_for(file)}{SUFFIX}"


def configured_path(file: Path, configured: str) -> Path:
    """Where `control.socket` says: a relative path is from the file's folder."""
    return file.absolute().parent / os.path.expanduser(configured)  # noqa: PTH111  without a home it stays as it is


def hosts_of_code(folder: Path, environ: Mapping[str, str]) -> set[str]:
    """What the living hosts run that were started in `folder` on code alone, and listen at their default paths."""
    runtime = runtime_folder_path(environ)
    if not (runtime.is_dir() and is_private(runtime)):
        return set()
    found = set()
    for lock in held_files(runtime, f"*{SUFFIX}{LOCK_SUFFIX}"):
        try:
            runs = json.loads(lock.read_text(encoding="ascii"))
        except FileNotFoundError:
            continue  # it has just ended
        if runs["code"] and runs["folder"] == os.fspath(folder):
            found.add(runs["code"])
    return found


def lock_text(folder: Path | None = None, code: str = "") -> str:
    """What a host writes into its lock, for `hosts_of_code`; in ASCII, since a path need not be text."""
    return json.dumps({"pid": os.getpid(), "folder": os.fspath(folder or ""), "code": code}) + "\n"


def lock_path(path: Path) -> Path:
    """The file that the owner of the socket `path` holds as long as it lives."""
    return path.with_name(path.name + LOCK_SUFFIX)


def sendable_length(path: Path) -> bool:
    """Whether the system takes a path of this length as the address of a socket (107 bytes on Linux)."""
    return len(os.fsencode(path)) <= _LONGEST


_LONGEST = 103  # macOS; Linux would take four more
