"""What people write in their agents: logging set up anew, signals, pools, forks, loops, files named like modules."""

import asyncio
import signal
from pathlib import Path

import pytest

from agenthost.jobs import JobStatus
from agenthost.testing.values import OfferOutcome
from tests.support.agent_host import Start, folder_of

DICT_CONFIG = """
import logging, logging.config
own = logging.getLogger("own")
logging.config.dictConfig({config})

async def fail():
    raise ValueError("the callback failed")

async def entrypoint(ctx: JobContext) -> None:
    ctx.add_shutdown_callback(fail)
    own.info("mine")
    ctx.shutdown("done")
"""


@pytest.mark.parametrize("root", ["{}", '{"root": {"level": "INFO"}}'])
async def test_logging_that_is_configured_anew_leaves_our_loggers_alone(start_any: Start, root: str) -> None:
    """By default `dictConfig` disables what it does not name; a root logger of its own has other handlers."""
    agent = await start_any(DICT_CONFIG.replace("{config}", f'{{"version": 1}} | {root}'))
    job = await agent.offer()
    await agent.ended(job, JobStatus.SUCCESS)
    line = await agent.host.wait_event("failed while the job was ending", job_id=job)
    assert line.level == "ERROR"


BLOCKING = """
async def handler(req):
    if req.room.name == "room-1":
        print("blocks")
        time.sleep(600)
    await req.accept()

async def entrypoint(ctx: JobContext) -> None:
    tell(ctx, value=7)
"""


async def test_handler_that_blocks_costs_its_own_room_alone(start: Start) -> None:
    """Offers that come meanwhile, and those after its process was replaced, are answered in time."""
    agent = await start(BLOCKING, "requests: { handler: my_agent:handler }")
    blocked = asyncio.create_task(agent.try_offer())
    await agent.host.wait_event("blocks")
    others = [asyncio.create_task(agent.try_offer()) for _ in range(5)]
    assert [(await other).outcome for other in others] == [OfferOutcome.ASSIGNED] * 5
    assert not (await blocked).assigned
    line = await agent.host.wait_event("event loop held up")
    assert line.fields["at"] == f"{agent.folder / 'my_agent.py'}:{_line_of(agent.folder, 'time.sleep(600)')}"
    assert (await agent.run())["value"] == 7


def _line_of(folder: Path, text: str) -> int:
    lines = (folder / "my_agent.py").read_text().splitlines()
    return 1 + next(number for number, line in enumerate(lines) if text in line)


PATTERNS = {
    "asyncio.run in a thread": """
async def entrypoint(ctx: JobContext) -> None:
    async def inner():
        await asyncio.sleep(0)
        return 7
    tell(ctx, value=await asyncio.to_thread(asyncio.run, inner()))
""",
    "nest_asyncio": """
import nest_asyncio
nest_asyncio.apply()
async def inner():
    await asyncio.sleep(0)
    return 7
async def entrypoint(ctx: JobContext) -> None:
    tell(ctx, value=asyncio.run(inner()))
""",
    "nest_asyncio in the entrypoint": """
async def inner():
    await asyncio.sleep(0)
    return 7
async def entrypoint(ctx: JobContext) -> None:
    import nest_asyncio
    nest_asyncio.apply()
    tell(ctx, value=asyncio.get_event_loop().run_until_complete(inner()))
""",
    "uvloop policy": """
import uvloop
asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
async def entrypoint(ctx: JobContext) -> None:
    tell(ctx, value=7, loop=type(asyncio.get_running_loop()).__module__)
""",
    "uvloop install": """
import uvloop
uvloop.install()
async def prewarm(proc):
    await asyncio.sleep(0)
async def entrypoint(ctx: JobContext) -> None:
    tell(ctx, value=7, loop=type(asyncio.get_running_loop()).__module__)
""",
    "pool": """
from concurrent.futures import ProcessPoolExecutor
def seven(): return 7
async def entrypoint(ctx: JobContext) -> None:
    with ProcessPoolExecutor(2) as pool:
        tell(ctx, value=await asyncio.get_running_loop().run_in_executor(pool, seven))
""",
    "pool spawn": """
from concurrent.futures import ProcessPoolExecutor
import multiprocessing
def seven(): return 7
async def entrypoint(ctx: JobContext) -> None:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        tell(ctx, value=await asyncio.get_running_loop().run_in_executor(pool, seven))
""",
    "pool forkserver": """
from concurrent.futures import ProcessPoolExecutor
import multiprocessing
def seven(): return 7
async def entrypoint(ctx: JobContext) -> None:
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("forkserver")) as pool:
        tell(ctx, value=await asyncio.get_running_loop().run_in_executor(pool, seven))
""",
    "process": """
import multiprocessing
def seven(queue): queue.put(7)
async def entrypoint(ctx: JobContext) -> None:
    queue = multiprocessing.Queue()
    process = multiprocessing.Process(target=seven, args=(queue,))
    process.start()
    value = await asyncio.to_thread(queue.get)
    process.join()
    tell(ctx, value=value, code=process.exitcode)
""",
    "pool at import": """
from concurrent.futures import ProcessPoolExecutor
POOL = ProcessPoolExecutor(2)
def seven(): return 7
async def entrypoint(ctx: JobContext) -> None:
    tell(ctx, value=await asyncio.get_running_loop().run_in_executor(POOL, seven))
""",
    "multiprocessing pool not closed": """
import multiprocessing
def seven(_): return 7
async def entrypoint(ctx: JobContext) -> None:
    pool = multiprocessing.Pool(2)
    tell(ctx, value=(await asyncio.to_thread(pool.map, seven, [1]))[0])
""",
    "manager": """
import multiprocessing
async def entrypoint(ctx: JobContext) -> None:
    manager = multiprocessing.Manager()
    shared = manager.dict()
    shared["x"] = 7
    tell(ctx, value=shared["x"])
""",
    "faulthandler": """
import faulthandler
faulthandler.enable()
faulthandler.register(signal.SIGUSR1)
faulthandler.dump_traceback_later(30, exit=False)
async def entrypoint(ctx: JobContext) -> None:
    tell(ctx, value=7)
""",
    "signal.signal": """
import signal
def stop(*_): sys.exit(0)
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGINT, stop)
async def entrypoint(ctx: JobContext) -> None:
    signal.signal(signal.SIGTERM, stop)
    tell(ctx, value=7)
""",
    "add_signal_handler": """
async def entrypoint(ctx: JobContext) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGCHLD):
        loop.add_signal_handler(number, lambda: ctx.shutdown("signal"))
    tell(ctx, value=7)
""",
    "asyncio subprocess": """
async def entrypoint(ctx: JobContext) -> None:
    process = await asyncio.create_subprocess_exec("echo", "7", stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    tell(ctx, value=int(out), code=process.returncode)
""",
    "main guard": """
import multiprocessing
if multiprocessing.current_process().name == "MainProcess":
    raise SystemExit("I am a main process")
async def entrypoint(ctx: JobContext) -> None:
    tell(ctx, value=7)
""",
    "os.fork": """
async def entrypoint(ctx: JobContext) -> None:
    child = os.fork()
    if child == 0:
        time.sleep(60)
        os._exit(0)
    tell(ctx, value=7, child=child)
""",
    "os.fork daemon": """
async def entrypoint(ctx: JobContext) -> None:
    child = os.fork()
    if child == 0:
        os.setsid()
        if os.fork():
            os._exit(0)
        time.sleep(60)
        os._exit(0)
    os.waitpid(child, 0)
    tell(ctx, value=7, child=child)
""",
    "closes every descriptor": """
async def entrypoint(ctx: JobContext) -> None:
    child = os.fork()
    if child == 0:
        os.closerange(3, 1000)
        os._exit(0)
    os.waitpid(child, 0)
    tell(ctx, value=7)
""",
}


@pytest.mark.parametrize("kind", PATTERNS)
async def test_what_people_write_runs(start: Start, kind: str) -> None:
    """Each kind in several processes of one generation."""
    code = PATTERNS[kind]
    agent = await start(code, "prewarm: my_agent:prewarm" if "def prewarm" in code else "")
    assert (await agent.run())["value"] == 7
    for job in [await agent.offer() for _ in range(4)]:
        await agent.ended(job, JobStatus.SUCCESS)


RUN_INSIDE = """
async def inner():
    await asyncio.sleep(0)

async def entrypoint(ctx: JobContext) -> None:
    if ctx.job.metadata == "run":
        asyncio.run(inner())
    tell(ctx, value=7)
"""


async def test_asyncio_run_inside_an_entrypoint_fails_its_own_job(start: Start) -> None:
    """As under any loop; with Python's sentence, and the next job runs."""
    agent = await start(RUN_INSIDE)
    error = await agent.ended(await agent.offer("run"), JobStatus.FAILED)
    assert "asyncio.run() cannot be called from a running event loop" in error
    assert (await agent.run())["value"] == 7


WAITING = """
async def entrypoint(ctx: JobContext) -> None:
    tell(ctx, value=7)
    await asyncio.sleep(600)
"""


async def test_sigint_and_then_sigkill_leaves_nobody(start: Start) -> None:
    """As pm2 ends what does not end within 1.6 s: the host drains with a call, and is killed."""
    agent = await start(WAITING, "num_idle_processes: 2")
    await agent.wait_facts(await agent.offer())
    agent.host.signal(signal.SIGINT)
    await agent.host.wait_event("draining")
    agent.host.process.kill()
    assert await agent.host.wait_no_survivors() == []


LIBRARY = "import os\nPID = os.getpid()\n"


@pytest.mark.parametrize("installed", [True, False])
async def test_library_on_pythonpath_is_told_from_the_users_code(start: Start, installed: bool) -> None:
    """What `pip install --target` has put there is imported by the template; what was not is code that is edited."""
    folder = folder_of(start) / "libraries"
    folder.mkdir()
    (folder / "some_library.py").write_text(LIBRARY)
    if installed:
        (folder / "some_library-1.0.dist-info").mkdir()
    code = (
        "import some_library\nasync def entrypoint(ctx: JobContext): tell(ctx, pid=some_library.PID, own=os.getpid())\n"
    )
    agent = await start(code, env={"PYTHONPATH": str(folder)})
    facts = await agent.run()
    assert (facts["pid"] == facts["own"]) is not installed


NAMED_LIKE_MODULES = ("logging", "agent", "livekit", "asyncio", "json", "signal", "token", "email", "child", "config")


async def test_files_named_like_modules_are_the_users_alone(start_any: Start) -> None:
    """Beside the script, in the folder that one stands in: ours are found all the same, and so is Python's own."""
    for name in NAMED_LIKE_MODULES:
        (folder_of(start_any) / f"{name}.py").write_text("raise RuntimeError('the wrong one')")
    agent = await start_any("async def entrypoint(ctx: JobContext): tell(ctx, value=7)\n")
    assert (await agent.run())["value"] == 7
