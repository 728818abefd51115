"""What the system tells of processes, on a real one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agenthost import kernel


@pytest.mark.skipif(not kernel.LINUX, reason="asks /proc")
def test_process_whose_name_is_cut_within_a_letter_has_its_place(tmp_path: Path) -> None:
    """The kernel keeps 15 bytes of a program's name, which need not end where a letter does."""
    program = tmp_path / "agenthost-statö.sh"
    program.symlink_to(sys.executable)
    child = subprocess.Popen(
        [program, "-c", "print(flush=True); input()"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with child:
        assert child.stdout is not None
        child.stdout.readline()
        assert b"stat\xc3)" in Path(f"/proc/{child.pid}/stat").read_bytes()
        assert kernel.is_below(child.pid, os.getpid()) is True
        assert kernel.is_below(child.pid, child.pid + 1) is False
        child.kill()
