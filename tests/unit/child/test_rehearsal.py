"""Rehearsals leave nothing behind but warm code and pages."""

import asyncio
import os
import threading

from agenthost.child.rehearsal import rehearse, warm_up
from agenthost.context.current import get_job_context
from agenthost.ipc.messages import Ready, Started
from tests.support.job_process import Fork, start_job
from tests.support.polling import poll


def test_warm_up_leaves_no_thread_no_descriptor_and_no_job() -> None:
    """A template forks afterwards: it must be as it was."""
    before = (threading.active_count(), len(os.listdir("/proc/self/fd")))
    warm_up()
    rehearse()
    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == before
    assert get_job_context(required=False) is None


async def test_idle_process_rehearses_and_still_serves(fork: Fork) -> None:
    """It has copied its pages in advance; nothing of that shows in its messages, its log or its output."""
    process = fork("async def entrypoint(ctx): ...")
    process.receive(Ready)
    fresh = _private_kilobytes(process.pid)
    await poll(lambda: _private_kilobytes(process.pid) > fresh + 500, timeout=5, what="the process did not rehearse")
    await asyncio.to_thread(process.send, start_job())
    assert isinstance(process.receive(Started), Started)
    assert process.end().reason == "entrypoint returned"
    assert {line.message for line in process.lines} == {"a phase of the end is over"}
    assert process.output == ""


def _private_kilobytes(pid: int) -> int:
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Private_"))
