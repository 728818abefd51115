"""A virtual environment for one row of the table, with the project in it as its code stands. Made once."""

import os
import subprocess
import tomllib
from collections.abc import Sequence
from pathlib import Path

from tests.support import deprecated

ROOT = Path(__file__).parents[2]


def ensure(
    folder: Path, python: Path, packages: Sequence[str], *, system_site: bool = False, lacks: Sequence[str] = ()
) -> Path:
    """Its interpreter, in which `os` has not got what it `lacks`. Raises CalledProcessError where it cannot be made."""
    ready = folder / "ready"
    wanted = (f"{ROOT}[dev]", *packages)
    python = python.resolve()  # of an environment that it is in itself, the Python below that
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = (*project["dependencies"], *project["optional-dependencies"]["dev"])
    made_of = "\n".join((str(python), *wanted, *needed))
    inside = folder / "bin" / "python"
    if not ready.exists() or ready.read_text() != made_of:
        options = ("--system-site-packages",) if system_site else ()
        subprocess.run([python, "-m", "venv", "--clear", *options, folder], check=True)
        subprocess.run([inside, "-m", "pip", "install", "--quiet", "--editable", *wanted], check=True, env=_own())
        ready.write_text(made_of)
    site_packages = _site_packages(inside)
    deprecated.install(site_packages)
    if lacks:
        line = f"import os; [delattr(os, name) for name in {tuple(lacks)} if hasattr(os, name)]\n"
        (site_packages / "lacks.pth").write_text(line)
    return inside


def _own() -> dict[str, str]:
    """Without what would have pip and Python look elsewhere than into the environment."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}


def _site_packages(python: Path) -> Path:
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip())
