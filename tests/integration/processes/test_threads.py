"""Code that must not be forked is found out, named once, and run in fresh interpreters instead.

This is about the choice between the two start methods, so no test runs under both.
"""

import pytest

from agenthost.jobs import JobStatus
from tests.support.agent_host import Start

PYTHON_THREAD = """
import threading
threading.Thread(target=time.sleep, args=(300,), name="ticker", daemon=True).start()

async def entrypoint(ctx: JobContext) -> None:
    tell(ctx, threads=[thread.name for thread in threading.enumerate()])
"""
FFI = """
from livekit import rtc
source = rtc.AudioSource(48000, 1, loop=asyncio.new_event_loop())  # without a loop Python 3.14 makes none

async def entrypoint(ctx: JobContext) -> None:
    tell(ctx, works=str(rtc.AudioSource(48000, 1).sample_rate))
"""


async def test_thread_of_an_imported_module_is_named_with_the_importing_line(start: Start) -> None:
    """The user reads which of their lines is to blame, although the thread was started elsewhere; it is said once."""
    code = """
    import ticking

    async def entrypoint(ctx: JobContext) -> None:
        tell(ctx, value=ticking.VALUE)
    """
    folder = "import threading, time\nthreading.Thread(target=time.sleep, args=(300,), name='ticker', daemon=True)"
    (start.args[2] / "ticking.py").write_text(f"{folder}.start()\nVALUE = 7\n")
    agent = await start(code)
    line = await agent.host.wait_event("forking is not safe")
    assert "thread 'ticker'" in line.fields["reason"]
    assert "ticking.py:2" in line.fields["reason"]
    assert [await agent.run(), await agent.run()] == [{"value": 7}, {"value": 7}]
    assert len(agent.host.events("forking is not safe")) == 1


async def test_native_threads_are_named_by_the_import_that_started_them(start: Start) -> None:
    """They have no Python object; the import statement is known."""
    code = """
    import natively

    async def entrypoint(ctx: JobContext) -> None:
        tell(ctx)
    """
    (start.args[2] / "natively.py").write_text(NATIVE)
    agent = await start(code)
    line = await agent.host.wait_event("forking is not safe")
    assert "`import natively`" in line.fields["reason"]
    assert "my_agent.py:" in line.fields["reason"]
    await agent.run()


NATIVE = """
import ctypes
libc = ctypes.CDLL(None)
thread = ctypes.c_ulong()
libc.pthread_create(ctypes.byref(thread), None, libc.sleep, ctypes.c_void_p(300))
"""


async def test_ffi_used_when_imported_makes_processes_spawn(start: Start) -> None:
    """The FFI refuses to work in a forked process; in a fresh interpreter the same code works."""
    agent = await start(FFI)
    line = await agent.host.wait_event("forking is not safe")
    assert "livekit FFI" in line.fields["reason"]
    number = (agent.folder / "my_agent.py").read_text().splitlines().index(FFI.splitlines()[2]) + 1
    assert f"my_agent.py:{number}" in line.fields["reason"]
    assert await agent.run() == {"works": "48000"}


async def test_fork_is_obeyed_in_spite_of_threads(start: Start) -> None:
    """`start_method: fork` is the user's risk: forked, without a word, and without the thread. Not even a warning of
    Python's, which this code makes an error."""
    strict = (
        "import warnings\nwarnings.filterwarnings('error', message='.*multi-threaded', category=DeprecationWarning)\n"
    )
    agent = await start(strict + PYTHON_THREAD, start_method="fork")
    assert await agent.run() == {"threads": ["MainThread"]}
    assert agent.host.events("forking is not safe") == []


async def test_template_that_must_not_fork_is_not_kept(start: Start) -> None:
    """It would only hold memory: the base and the jobs are all there is."""
    agent = await start(PYTHON_THREAD, "num_idle_processes: 1")
    await agent.host.wait_event("forking is not safe")
    [idle] = await agent.wait_idle(1)
    assert [child.pid for child in agent.children()] == [agent.base, idle]
    assert "ticker" in (await agent.run())["threads"]


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
