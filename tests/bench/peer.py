"""The peer's own environment, made once: nothing of it touches the project's."""

import subprocess
import sys
from pathlib import Path

from tests.bench.subjects import PEER_VERSION


def ensure_peer(folder: Path) -> Path:
    """The interpreter of an environment in `folder` that has livekit-agents; made with pip where it is missing."""
    python = folder / "bin" / "python"
    if _version(python) != PEER_VERSION:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", f"livekit-agents=={PEER_VERSION}"], check=True)
    return python


def _version(python: Path) -> str:
    """The installed version, empty when there is none."""
    if not python.exists():
        return ""
    code = "import importlib.metadata as m; print(m.version('livekit-agents'))"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return found.stdout.strip()
