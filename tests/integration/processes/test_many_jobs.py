"""A host that has run many jobs is as it was in the beginning: descriptors, zombies, memory.

Both start methods, but for the memory that idle processes share: spawned ones share none.
"""

import asyncio
import re
from pathlib import Path

import psutil
import pytest

from agenthost.jobs import JobStatus
from tests.support.agent_host import AgentHost, Start
from tests.support.polling import poll

QUICK = """
async def entrypoint(ctx: JobContext) -> None:
    pass
"""
LEAKS = """
async def entrypoint(ctx: JobContext) -> None:
    global leaked
    leaked = os.urandom(1000) * 20_000
    subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(300)"], start_new_session=True)
"""


STEADY = "num_idle_processes: 1\nreload: { watch: [config] }\nload: { max_jobs: 50 }"
"""With something to watch the base stays, and what else the machine does is no reason to refuse a job."""


async def run_jobs(agent: AgentHost, count: int, *, at_once: int) -> None:
    """Run `count` jobs to their good ends, some at the same time."""
    gate = asyncio.Semaphore(at_once)

    async def run_one() -> None:
        async with gate:
            job = await agent.offer()
            await agent.ended(job, JobStatus.SUCCESS)

    await asyncio.gather(*(run_one() for _ in range(count)))


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


async def settled(agent: AgentHost) -> dict[str, int]:
    """Descriptors of the host and its templates, once no job is left and one process waits."""
    await agent.wait_idle(1)
    await agent.no_zombies()
    pids = {"host": agent.host.pid, "base": agent.base}
    if agent.host.events("template ready"):
        pids["template"] = agent.template
    return {name: descriptors(pid) for name, pid in pids.items()}


JOBS = {"auto": 1000, "spawn": 12}
"""A spawned job costs a quarter of a second of processor time: fewer of them must do."""


@pytest.mark.slow(12)
@pytest.mark.timeout(240)  # a thousand real processes, on whatever machine
@pytest.mark.machine  # only root may look into a host
async def test_descriptors_are_as_many_after_1000_jobs_and_there_is_no_zombie(
    start_any: Start, start_method: str
) -> None:
    """Of the host, the base and the agent template; none of them was replaced meanwhile."""
    agent = await start_any(QUICK, STEADY)
    await run_jobs(agent, JOBS[start_method] // 4, at_once=4)
    before = await settled(agent)
    await run_jobs(agent, JOBS[start_method], at_once=20 if start_method == "auto" else 4)
    await poll(lambda: descriptors(agent.host.pid) <= before["host"], timeout=5)  # the last job's are just closed
    assert await settled(agent) == before
    assert len(agent.host.events("template ready")) == (start_method == "auto")


def memory(agent: AgentHost) -> int:
    """The anonymous memory of the host and everything below it, in bytes.

    What is shared among them is counted once. Pages of files are left out: their share depends on who else on the
    machine has them mapped, which other tests change at any moment.
    """
    return sum(_anonymous(process.pid) for process in agent.host.survivors())


def _anonymous(pid: int) -> int:
    (line,) = re.findall(r"^Pss_Anon: +(\d+) kB$", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return int(line) * 1024


@pytest.mark.slow(6)
@pytest.mark.machine
async def test_memory_is_back_after_200_leaking_jobs(start_any: Start, start_method: str) -> None:
    """Scenario 11: a process is never used again, and what it left running goes with it; within 5 % of job 5."""
    agent = await start_any(LEAKS, STEADY)
    await run_jobs(agent, 5, at_once=4)  # as later: room for four jobs at a time is no leak
    await settled(agent)
    before = memory(agent)
    await run_jobs(agent, JOBS[start_method] // 5 if start_method == "auto" else JOBS[start_method], at_once=4)
    await settled(agent)
    left = 4 if start_method == "auto" else 3
    await poll(lambda: len(agent.host.survivors()) == left, timeout=5, what="left behind")
    assert memory(agent) < 1.05 * before


SHARES = """
import gc
TABLE = [[number, str(number)] for number in range(1_000_000)]
BLOCK = os.urandom(1000) * 50_000

def prewarm(proc):
    gc.collect()

async def entrypoint(ctx: JobContext) -> None:
    pass
"""


@pytest.mark.slow(5)
async def test_idle_processes_share_what_was_imported(start: Start) -> None:
    """Scenario 12: 200 MB of imports and 8 idle processes, each of which has run a full collection."""
    keys = "imports: shared\nprewarm: my_agent:prewarm\nnum_idle_processes: 8\nlimits: { init: 30s }"
    agent = await start(SHARES, keys)
    idle = await agent.wait_idle(8, timeout=30)
    template = psutil.Process(agent.template)
    assert template.memory_info().rss > 180e6
    processes = [template, *map(psutil.Process, idle)]
    assert sum(process.memory_full_info().pss for process in processes) < 200e6 + 8 * 25e6
    assert max(process.memory_full_info().uss for process in processes[1:]) < 10e6
