"""Runs the voice tests on the oldest and the newest livekit-agents of the range: `python tests/voice_versions.py`.

Each version gets a virtual environment of its own under .bench, made once. livekit-agents' old releases do not bound
their own dependencies from above; what they need to be imported today is pinned here.
"""

import os
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
OLDEST = "1.5.9"
NEWEST = "1.8.9"
PINS = {OLDEST: ("openai<3",)}
TESTS = ("tests/unit/voice", "tests/integration", "tests/e2e", "-k", "voice")


def main(versions: Sequence[str]) -> int:
    """Exit code 1 when any version fails; all are run."""
    failed = [version for version in versions if run(version) != 0]
    for version in versions:
        tell(f"livekit-agents {version}: {'FAILED' if version in failed else 'ok'}")
    return 1 if failed else 0


def run(version: str) -> int:
    """The exit code of the tests on this version; makes its environment where there is none."""
    folder = ROOT / ".bench" / f"voice-{version}"
    python = folder / "bin" / "python"
    ready = folder / "ready"
    if not ready.exists():
        venv.create(folder, with_pip=True, clear=True)
        wanted = [
            f"{ROOT}[dev]",
            f"livekit-agents=={version}",
            f"livekit-plugins-silero=={version}",
            *PINS.get(version, ()),
        ]
        subprocess.run([python, "-m", "pip", "install", "--quiet", "--editable", *wanted], check=True)
        ready.touch()
    tell(f"livekit-agents {version}")
    # A failing import must not pass for "livekit-agents is not installed, nothing to test".
    subprocess.run([python, "-c", "import livekit.agents"], check=True)
    return subprocess.run([python, "-m", "pytest", "-q", *TESTS], cwd=ROOT, env=os.environ, check=False).returncode


def tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or (OLDEST, NEWEST)))
