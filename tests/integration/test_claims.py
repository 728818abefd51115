"""Processes that want one file at the same time."""

import subprocess
import sys
from pathlib import Path

CLAIMING = """
import os, sys
from pathlib import Path
from agenthost.runtime_folder import HeldFile
path = Path(sys.argv[1])
for _ in range(400):
    held = HeldFile.claim(path, "mine")
    if held is not None:
        os.close(os.open(path.with_name("alone"), os.O_CREAT | os.O_EXCL))
        path.with_name("alone").unlink()
        held.remove()
"""


def test_only_one_process_claims_a_file(tmp_path: Path) -> None:
    """Also in a folder that others may write to, where a file is removed while another process opens it."""
    tmp_path.chmod(0o755)
    command = [sys.executable, "-c", CLAIMING, str(tmp_path / "a.lock")]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for process in processes:
        assert process.communicate(timeout=30) == (None, "")
