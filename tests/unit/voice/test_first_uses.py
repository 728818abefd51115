"""Made once for all jobs, in a template that must be able to fork afterwards."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agenthost.voice.first_uses import use_first


def test_leaves_the_template_as_it_was() -> None:
    """No thread, no descriptor, no variable, and the native library is not in use: seen from a fresh interpreter."""
    code = """
import os, sys
from agenthost import kernel
from agenthost.child.thread_watch import ffi_in_use
from agenthost.voice.first_uses import use_first

def state():
    return kernel.thread_count(), os.listdir("/proc/self/fd"), dict(os.environ), ffi_in_use()

before = state()
use_first()
assert state() == before, (before, state())
assert "livekit.agents.voice.report" in sys.modules
"""
    env = os.environ | {"LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE": "0", "OPENBLAS_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", code], env=env, check=True)


def test_certificates_that_cannot_be_read_are_left_for_the_job_to_tell_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may never speak TLS."""
    monkeypatch.setenv("LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE", "0")  # 250 MB, and of no interest here
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    use_first()
    (tmp_path / "missing.pem").write_text("no certificate")
    use_first()
