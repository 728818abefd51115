"""The pytest of a user: a folder of files, and pytest run there as a process of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

_FILE = re.compile(r"^`([\w.]+)`:\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def write_files_of_page(page: Path, folder: Path) -> list[str]:
    """Write each code block that follows a line with nothing but its file's name; the names, in order."""
    files = _FILE.findall(page.read_text())
    for name, text in files:
        (folder / name).write_text(text)
    return [name for name, _ in files]


def run_pytest(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    """What pytest says, run in `folder` with no configuration but what is there."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", ".", *arguments]
    return subprocess.run(
        command, cwd=folder, env=os.environ | dict(env or {}), capture_output=True, text=True, check=False
    ).stdout
