"""The import contracts of pyproject.toml hold; `lint-imports` says which import breaks which."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_import_contracts_are_kept() -> None:
    """Layers, pure deciders, and the border around job processes."""
    program = Path(sys.executable).with_name("lint-imports")
    ended = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=50)
    assert ended.returncode == 0, ended.stdout[-3000:]
    assert "0 broken" in ended.stdout


def test_only_one_module_of_the_host_speaks_the_wire() -> None:
    """`livekit.protocol` is translated in one place; import-linter cannot name a part of an external package."""
    importers = {
        path.relative_to(ROOT).as_posix()
        for folder in ("dispatch", "host", "processes", "endpoints")
        for path in (ROOT / "agenthost" / folder).rglob("*.py")
        if re.search(r"(from|import) livekit\.protocol", path.read_text())
    }
    assert importers == {"agenthost/dispatch/wire.py"}
