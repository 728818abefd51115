"""The native library is mapped before the fork and initialised after it."""

import os
import subprocess
import sys

import pytest

from agenthost.processes.base_exec import THREAD_LIMITS

CODE = """
import asyncio
import os
from livekit.rtc import AudioSource
from livekit.rtc._ffi_client import FfiClient
from agenthost import kernel
from agenthost.child.mappings import mappings, unwritten_mappings
from agenthost.child.native_library import map_native_library

map_native_library()
mapped, unwritten = (
    sum(part.file.endswith("liblivekit_ffi.so") for part in found) for found in (mappings(), unwritten_mappings())
)
print("parts", mapped, "written", mapped - unwritten, "threads", kernel.thread_count())
print("in use", FfiClient._instance is not None, flush=True)
if not os.fork():
    try:
        AudioSource(48000, 1, loop=asyncio.new_event_loop())
        print("in use by the child", flush=True)
    except ImportError as error:
        print("the child:", str(error).splitlines()[0], flush=True)
    os._exit(0)
os.wait()
"""


def run(**env: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={**os.environ, **THREAD_LIMITS, **env},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux alone tells what is mapped")
def test_mapped_it_runs_nothing_and_works_in_a_fork() -> None:
    """Its code, its data, and what the linker wrote are there; the threads are the job's own."""
    mapped, *rest = run()
    words = mapped.split()
    assert int(words[1]) >= 3
    assert int(words[3]) >= 2
    assert words[4:] == ["threads", "1"]
    assert rest == ["in use False", "in use by the child"]


def test_a_library_that_is_not_there_is_told_about_by_the_job() -> None:
    """With its name; a base that has none starts all the same, since not every job uses it."""
    *_, first, second = run(LIVEKIT_LIB_PATH="/nowhere/liblivekit_ffi.so")
    assert first == "in use False"
    assert second.startswith("the child: failed to load liblivekit_ffi.so: /nowhere/")
