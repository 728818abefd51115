"""What dead processes left running is killed, and nobody else; with real processes."""

import os
import signal
import subprocess

import pytest

from agenthost import kernel
from agenthost.processes.home import ProcessHome
from tests.support.polling import poll
from tests.unit.processes.conftest import ended, spawn, state


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
    monkeypatch.setattr("agenthost.processes.left_behind._LOOK_AGAIN_SECONDS", 0.1)
    go, proceed = os.pipe()
    command = f"read line; exec env {kernel.PROCESS_NUMBER}=12 sleep 60"
    stdin = [(os.POSIX_SPAWN_DUP2, go, 0)]
    program = ["setsid", "sh", "-c", command]
    daemon = os.posix_spawnp("setsid", program, os.environ, file_actions=stdin)
    os.close(go)
    dead = spawn("true", session=True)
    await ended(home, dead)
    home.reaper.kill_left_behind(dead, 12)
    assert state(daemon) not in "ZX"
    os.write(proceed, b"\n")
    os.close(proceed)
    await poll(lambda: not os.path.exists(f"/proc/{daemon}"), timeout=5, what="it lives")


async def test_number_of_a_dead_process_may_be_anothers_by_now(home: ProcessHome) -> None:
    """Once it is reaped, the kernel may give its number to the leader of another group."""
    another = spawn("sleep", "60", session=True)
    await poll(lambda: os.getpgid(another) == another, timeout=5, what="it leads no group")
    home.reaper.exited(another)
    home.reaper.kill_left_behind(another, 4711)
    assert (await ended(home, spawn("sh", "-c", "exit 4"))).code == 4  # a kill would have been told by now
    assert state(another) in "SR"
    os.kill(another, signal.SIGTERM)
    assert (await ended(home, another)).signal == signal.SIGTERM


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


async def test_one_look_serves_all_that_have_ended_since_the_last(
    home: ProcessHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look lists all children of the host: the end of a hundred jobs must not be a hundred lists of hundreds."""
    looks = 0
    listed = kernel.children

    def children() -> list[int]:
        nonlocal looks
        looks += 1
        return listed()

    monkeypatch.setattr(kernel, "children", children)
    numbers = range(100, 130)
    left = [spawn("sleep", "60", session=True, env={kernel.PROCESS_NUMBER: str(number)}) for number in numbers]
    for number in numbers:
        home.reaper.kill_left_behind(2**22 + number, number)  # no process has such a pid
    await poll(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in left), timeout=5, what="some live")
    assert looks == 2
