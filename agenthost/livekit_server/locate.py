"""Where a LiveKit server binary is, or would be put; looks only, and starts nothing."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from agenthost.errors import LocalServerError

VERSION = "1.13.5"
"""The release that agenthost is tested with, and builds when there is none."""

VARIABLE = "AGENTHOST_LIVEKIT_SERVER"


def find(environ: Mapping[str, str]) -> Path | None:
    """The binary to use: `$AGENTHOST_LIVEKIT_SERVER`, `livekit-server` on PATH, or the one built earlier.

    None when there is none. Raises LocalServerError when the variable names something that cannot be run.
    """
    if given := environ.get(VARIABLE):
        return _given(Path(os.path.expanduser(given)))  # noqa: PTH111  where nobody has a home, it stays as it is
    if on_path := shutil.which("livekit-server", path=environ.get("PATH", os.defpath)):
        return Path(on_path)
    built = built_binary(environ)
    return built if _runnable(built) else None


def built_binary(environ: Mapping[str, str]) -> Path:
    """Where the binary of this release stands once it is built. Raises as `cache_folder`."""
    return cache_folder(environ) / f"livekit-server-{VERSION}"


def cache_folder(environ: Mapping[str, str]) -> Path:
    """`$XDG_CACHE_HOME/agenthost`, else `~/.cache/agenthost`. Raises LocalServerError for a user without a home."""
    if given := environ.get("XDG_CACHE_HOME"):
        return Path(given) / "agenthost"
    try:
        home = Path(environ.get("HOME") or Path.home())
    except RuntimeError:  # no entry in the user database, as in containers that run under any number
        raise LocalServerError("this user has no home folder to keep a LiveKit server in: set XDG_CACHE_HOME") from None
    return home / ".cache" / "agenthost"


def _given(path: Path) -> Path:
    if not _runnable(path):
        raise LocalServerError(f"${VARIABLE} names {path}, which is no program that can be run; correct or unset it")
    return path.absolute()


def _runnable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
