"""Gets a LiveKit server binary onto this machine: the one that is there, else one built from source with Go.

Two processes that build at once do no harm: the second waits for the first and takes its result. The binary
appears under its name in one step, complete or not at all.
"""

import asyncio
import fcntl
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from agenthost.errors import LocalServerError
from agenthost.livekit_server.command import Report, run
from agenthost.livekit_server.go_toolchain import Go, go_toolchain
from agenthost.livekit_server.locate import VARIABLE, VERSION, built_binary, cache_folder, find

_PACKAGE = f"github.com/livekit/livekit-server/cmd/server@v{VERSION}"
_OTHER_WAYS = f"or install livekit-server yourself and set ${VARIABLE} or PATH, or set LIVEKIT_URL to a running server"


async def ensure_installed(report: Report, environ: Mapping[str, str] = os.environ) -> Path:
    """The path of a LiveKit server binary; builds it first if there is none (about two minutes).

    `report` gets the steps of the build. Raises LocalServerError when it cannot be built.
    """
    if found := find(environ):
        return found
    cache = cache_folder(environ)
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LocalServerError(f"cannot make {cache}: {error.strerror}; set XDG_CACHE_HOME") from error
    async with _locked(cache / "build.lock", report):
        if found := find(environ):  # somebody else was building it
            return found
        try:
            return await _build(cache, environ, report)
        except LocalServerError as error:
            raise LocalServerError(f"cannot build the LiveKit server: {error}\nTry again, {_OTHER_WAYS}.") from error


async def _build(cache: Path, environ: Mapping[str, str], report: Report) -> Path:
    _remove_abandoned(cache)
    go = await go_toolchain(cache, environ, report)
    folder = Path(tempfile.mkdtemp(prefix="build-", dir=cache))
    try:
        build_environ = _build_environ(go, folder, environ)
        step = f"building livekit-server {VERSION}"
        await run([str(go.path), "install", "-v", _PACKAGE], build_environ, report, step=step)
        target = built_binary(environ)
        (folder / "bin" / "server").replace(target)
        return target
    finally:
        _remove(folder)


def _build_environ(go: Go, folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """A Go of the user's works with the user's caches; ours keeps its gigabyte together and loses it afterwards."""
    build = {
        **environ,
        "GOBIN": str(folder / "bin"),
        "GOTOOLCHAIN": "auto",  # LiveKit asks for a newer Go than many machines have
        "GOFLAGS": f"{environ.get('GOFLAGS', '')} -modcacherw".strip(),  # read-only modules cannot be removed
        "CGO_ENABLED": "0",  # no C compiler needed
    }
    if go.own:
        build |= {"GOPATH": str(folder / "go"), "GOCACHE": str(folder / "cache")}
    return build


def _remove_abandoned(cache: Path) -> None:
    """What a killed build left; nobody else builds while we hold the lock."""
    for folder in cache.glob("build-*/"):
        _remove(folder)


def _remove(folder: Path) -> None:
    # a compiler that was just killed may still hold a file; the next build removes what stays now
    shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def _locked(path: Path, report: Report) -> AsyncIterator[None]:
    """One process at a time. Polls: a blocking lock in a thread could not be cancelled."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise LocalServerError(f"cannot write to {path.parent}: {error.strerror}; set XDG_CACHE_HOME") from error
    try:
        while not _try_lock(descriptor):
            report("waiting for another process that builds livekit-server", "")
            await asyncio.sleep(0.2)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
