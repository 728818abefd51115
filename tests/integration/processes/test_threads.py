"""Threads that are there before a job is: a process may have its own, what is forked may have none."""

import pytest

from agenthost.jobs import JobStatus
from tests.support.agent_host import Start, folder_of


async def test_threads_of_an_imported_module_are_the_processes_own(start_any: Start) -> None:
    """Whoever started them, and whichever kind they are; nothing is said about it, for nothing is the matter."""
    code = """
    import natively, ticking

    async def entrypoint(ctx: JobContext) -> None:
        tell(ctx, threads=[each.name for each in threading.enumerate()], all=len(os.listdir("/proc/self/task")))
    """
    (folder_of(start_any) / "ticking.py").write_text(TICKING)
    (folder_of(start_any) / "natively.py").write_text(NATIVE)
    agent = await start_any(code, "num_idle_processes: 1")
    for _ in range(2):
        assert await agent.run() == {"threads": ["MainThread", "ticker"], "all": 3}
    assert agent.host.events("forking is not safe") == []


TICKING = """
import threading, time
threading.Thread(target=time.sleep, args=(300,), name='ticker', daemon=True).start()
"""
NATIVE = """
import ctypes
libc = ctypes.CDLL(None)
thread = ctypes.c_ulong()
libc.pthread_create(ctypes.byref(thread), None, libc.sleep, ctypes.c_void_p(300))
"""
FFI = """
from livekit import rtc
source = rtc.AudioSource(48000, 1, loop=asyncio.new_event_loop())  # without a loop Python 3.14 makes none

async def entrypoint(ctx: JobContext) -> None:
    tell(ctx, works=str(rtc.AudioSource(48000, 1).sample_rate))
"""


async def test_ffi_used_when_imported_is_the_processes_own(start_any: Start) -> None:
    """The FFI refuses to work in the fork of a process that has used it: this one uses it after it was forked."""
    assert await (await start_any(FFI)).run() == {"works": "48000"}


async def test_preload_that_starts_a_thread_is_an_error(start: Start) -> None:
    """The base serves all agents: exit 78, and the line."""
    (start.args[2] / "ticking.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(300,), daemon=True).start()\n"
    )
    agent = await start("async def entrypoint(ctx): pass", "preload: [ticking]", ready=False)
    assert await agent.host.exit_code() == 78
    assert "preload may not start threads" in agent.host.stderr
    assert "ticking.py:2" in agent.host.stderr


SHARED = """
import threading

def prewarm(proc):
    proc.userdata["model"] = [os.getpid()]
    if Path("thread").exists():
        threading.Thread(target=time.sleep, args=(300,), name="loader", daemon=True).start()

async def entrypoint(ctx: JobContext) -> None:
    tell(ctx, model=ctx.proc.userdata["model"], pid=os.getpid())
"""
SHARED_YAML = "prewarm: { callable: my_agent:prewarm, shared: true }"


async def test_shared_prewarm_runs_once_for_all_forked_jobs(start: Start) -> None:
    """In the template: its pid is what every job sees."""
    agent = await start(SHARED, SHARED_YAML)
    facts = [await agent.run(), await agent.run()]
    assert [each["model"] for each in facts] == [[agent.template]] * 2


async def test_shared_prewarm_runs_in_each_spawned_job(start: Start) -> None:
    """There is nothing to share it with, but no job is without it."""
    facts = await (await start(SHARED, SHARED_YAML, start_method="spawn")).run()
    assert facts["model"] == [facts["pid"]]


async def test_shared_prewarm_that_leaves_a_thread_is_an_error(start: Start) -> None:
    """All jobs would be forked from a process with a thread: one sentence, exit 78."""
    (start.args[2] / "thread").touch()
    agent = await start(SHARED, SHARED_YAML, ready=False)
    assert await agent.host.exit_code() == 78
    assert "may not leave a thread behind" in agent.host.stderr
    assert "thread 'loader', started at" in agent.host.stderr


@pytest.mark.parametrize("module", ["numpy", "livekit.api", "asyncio, concurrent.futures, multiprocessing"])
async def test_common_modules_can_be_forked(start: Start, module: str) -> None:
    """numpy brings OpenBLAS, which has as many threads as cores unless it is told otherwise."""
    agent = await start(f"import {module}\nasync def entrypoint(ctx): tell(ctx, parent=os.getppid())\n")
    job = await agent.offer()
    await agent.ended(job, JobStatus.SUCCESS)
    assert agent.host.events("forking is not safe") == []
