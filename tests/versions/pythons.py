"""The Pythons of this machine that agenthost is for: of each minor version the newest."""

import os
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

OLDEST = (3, 11)
MINORS = range(OLDEST[1], 30)
MORE = "PYTHONS"
"""A variable with the paths of others, as PATH has them."""

SYSTEM = Path("/usr/bin/python3")
UV = Path("~/.local/share/uv/python").expanduser()


def newest_of_each() -> list[Path]:
    """The oldest version first."""
    found: dict[tuple[int, ...], Path] = {}
    for python in _candidates():
        version = version_of(python)
        if version >= OLDEST and version > max((each for each in found if each[:2] == version[:2]), default=()):
            found = {each: path for each, path in found.items() if each[:2] != version[:2]} | {version: _behind(python)}
    return [found[version] for version in sorted(found)]


def _candidates() -> Iterator[Path]:
    yield from (Path(path) for path in os.environ.get(MORE, "").split(os.pathsep) if path)
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        yield from (path for minor in MINORS if (path := Path(folder, f"python3.{minor}")).exists())
    yield SYSTEM
    for version in _said("pyenv", "versions", "--bare").split():
        yield Path(_said("pyenv", "prefix", version).strip(), "bin", "python")
    yield from of_uv()


def of_uv() -> list[Path]:
    """Built against an old C library."""
    return sorted(path for path in UV.glob("*/bin/python3") if version_of(path) >= OLDEST)


@cache
def version_of(python: Path) -> tuple[int, ...]:
    """() of what is no Python that runs, as a shim without a version behind it."""
    said = _said(str(python), "-c", "import sys, ssl, ctypes, venv; print(*sys.version_info[:3])")
    return tuple(int(number) for number in said.split())


def _behind(shim: Path) -> Path:
    """The interpreter itself: which one a shim runs depends on the folder."""
    return Path(_said(str(shim), "-c", "import sys; print(sys.executable)").strip())


def _said(*command: str) -> str:
    """What a command prints; "" where it fails or there is none."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60).stdout
    except OSError:
        return ""
