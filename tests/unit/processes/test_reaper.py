"""Reaping real processes: each once, by whoever it belongs to."""

import asyncio
import os
import signal
import subprocess
import sys

import psutil

from agenthost.processes.home import ProcessHome
from agenthost.processes.reaper import ExitStatus, Reaper
from tests.support.polling import poll
from tests.support.process_states import ENDED, state_of
from tests.unit.processes.conftest import ended, spawn, state


async def test_exit_code_is_told(home: ProcessHome) -> None:
    """With the memory it had."""
    status = await ended(home, spawn("sh", "-c", "exit 7"))
    assert (status.code, status.signal, str(status)) == (7, None, "exit code 7")
    assert status.max_rss > 0


async def test_signal_is_told(home: ProcessHome) -> None:
    """By its name."""
    pid = spawn("sleep", "60")
    waiting = asyncio.ensure_future(ended(home, pid))
    os.kill(pid, signal.SIGKILL)
    assert str(await waiting) == "signal SIGKILL"


async def test_group_ends_before_its_leader_is_reaped(home: ProcessHome) -> None:
    """When the end is told, the leader's number may be another's; nobody of its group is left by then."""
    leader = spawn("sh", "-c", "sleep 60 & sleep 60 & wait", session=True)
    below = await poll(
        lambda: found if len(found := psutil.Process(leader).children()) == 2 else [], timeout=5, what="nothing started"
    )
    os.kill(leader, signal.SIGKILL)
    await home.reaper.exited(leader, with_group=True)
    await poll(lambda: all(state_of(each) in ENDED for each in below), timeout=5, what="somebody lives")


async def test_process_that_ended_before_anybody_asked_is_told_too(home: ProcessHome) -> None:
    """A job may be dead before its Hello is read."""
    pid = spawn("true")
    await poll(lambda: not os.path.exists(f"/proc/{pid}"), timeout=5, what="it was not reaped")
    assert (await ended(home, pid)).code == 0


async def test_children_of_others_are_not_stolen(home: ProcessHome) -> None:
    """A spared child keeps its exit status for who waits for it, and does not hide the others that have ended."""
    spared = subprocess.Popen(["sh", "-c", "exit 3"])
    home.reaper.spare(spared.pid)
    await poll(lambda: state(spared.pid) == "Z", timeout=5, what="it did not end")
    assert (await ended(home, spawn("sh", "-c", "exit 4"))).code == 4
    assert spared.wait() == 3


async def test_unknown_signal_has_a_number() -> None:
    """Real-time signals have no name."""
    assert str(ExitStatus(None, 40)) == "signal 40"


async def test_stopped_reaper_leaves_signals_alone() -> None:
    """The loop has no handler afterwards; starting reaps what ended before."""
    pid = spawn(sys.executable, "-S", "-c", "")
    await poll(lambda: state(pid) == "Z", timeout=5, what="it did not end")
    reaper = Reaper()
    reaper.start()
    assert (await reaper.exited(pid)).code == 0
    reaper.stop()
    assert signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL
