"""Reaping real processes: each once, by whoever it belongs to."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest

from agenthost import kernel
from agenthost.processes.home import ProcessHome
from agenthost.processes.reaper import ExitStatus, Reaper
from tests.support.polling import poll


def spawn(*command: str, session: bool = False, env: dict[str, str] | None = None) -> int:
    """A child that nobody waits for but the reaper."""
    return os.posix_spawnp(command[0], command, {**os.environ, **(env or {})}, setsid=session)


async def ended(home: ProcessHome, pid: int) -> ExitStatus:
    async with asyncio.timeout(5):
        return await home.reaper.exited(pid)


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


def state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


async def test_unknown_signal_has_a_number() -> None:
    """Real-time signals have no name."""
    assert str(ExitStatus(None, 40)) == "signal 40"


@pytest.mark.parametrize("kind", ["same session", "marked", "below a marked one"])
async def test_what_a_dead_process_left_is_killed(home: ProcessHome, kind: str) -> None:
    """Found by its session or by the variable in its environment, with what it has started itself."""
    number = 4711
    if kind == "same session":
        leader = spawn("sh", "-c", "sleep 60 & exec sleep 60", session=True)
        [left] = await poll(lambda: kernel.descendants(leader), timeout=5, what="nothing was started")
    else:
        env = {kernel.PROCESS_NUMBER: str(number)}
        top = spawn("sh", "-c", "setsid sleep 60 & wait", session=True, env=env)
        [below] = await poll(lambda: kernel.descendants(top), timeout=5, what="nothing was started")
        await poll(lambda: os.getsid(below) == below, timeout=5, what="it has no session of its own")
        leader, left = spawn("sleep", "60", session=True), top if kind == "marked" else below
    kernel.become_subreaper()
    os.kill(leader, signal.SIGKILL)
    await ended(home, leader)
    home.reaper.kill_left_behind(leader, number)
    await poll(lambda: not os.path.exists(f"/proc/{left}"), timeout=5, what="it lives")


async def test_daemon_that_is_not_exec_d_yet_is_found_later(home: ProcessHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """When its job ends, a fork on its way to its program still shows the environment of what it was forked from."""
    monkeypatch.setattr("agenthost.processes.reaper._LOOK_AGAIN_SECONDS", 0.1)
    go, proceed = os.pipe()
    command = f"read line; exec env {kernel.PROCESS_NUMBER}=12 sleep 60"
    stdin = [(os.POSIX_SPAWN_DUP2, go, 0)]
    daemon = os.posix_spawnp("sh", ["sh", "-c", command], os.environ, setsid=True, file_actions=stdin)
    os.close(go)
    dead = spawn("true", session=True)
    await ended(home, dead)
    home.reaper.kill_left_behind(dead, 12)
    assert state(daemon) not in "ZX"
    os.write(proceed, b"\n")
    os.close(proceed)
    await poll(lambda: not os.path.exists(f"/proc/{daemon}"), timeout=5, what="it lives")


async def test_neighbours_are_spared(home: ProcessHome) -> None:
    """Known processes, children of others, and those of another number."""
    env = {kernel.PROCESS_NUMBER: "1"}
    known = spawn("sleep", "60", session=True, env=env)
    other = subprocess.Popen(["sleep", "60"], env={**os.environ, **env}, start_new_session=True)
    home.reaper.exited(known)
    home.reaper.spare(other.pid)
    third = spawn("sleep", "60", session=True, env={kernel.PROCESS_NUMBER: "2"})
    dead = spawn("true", session=True)
    await ended(home, dead)
    home.reaper.kill_left_behind(dead, 1)
    assert not {"Z", "X"} & {state(pid) for pid in (known, other.pid, third)}
    for pid in (known, third):
        os.kill(pid, signal.SIGKILL)
        await ended(home, pid)
    other.kill()
    other.wait()


async def test_stopped_reaper_leaves_signals_alone() -> None:
    """The loop has no handler afterwards; starting reaps what ended before."""
    pid = spawn(sys.executable, "-S", "-c", "")
    await poll(lambda: state(pid) == "Z", timeout=5, what="it did not end")
    reaper = Reaper()
    reaper.start()
    assert (await reaper.exited(pid)).code == 0
    reaper.stop()
    assert signal.getsignal(signal.SIGCHLD) is signal.SIG_DFL
