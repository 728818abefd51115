"""A few lines of Python in an interpreter of their own: for what cannot be done to the process that runs the tests."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parents[2]

_HIDING = {"PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"}
"""Where these are set, what a buffer or a stale .pyc does cannot be seen."""


def run_script(code: str, *, cwd: Path | None = None) -> Any:
    """What `code` leaves in `result`; it may not end otherwise than well."""
    text = f"import sys\nsys.path[:0] = ['.', {str(_FOLDER)!r}]\n{textwrap.dedent(code)}\n"
    text += "import json, os\nos.write(2, json.dumps(result).encode())\n"
    environment = {key: value for key, value in os.environ.items() if key not in _HIDING}
    command = [sys.executable, "-P", "-c", text]
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=20)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stderr)
