"""A host in a real memory cgroup whose memory runs out: whom it costs, and what is said of it.

Version 1 or 2, whichever the machine's kernel has its memory controller in; the faked trees of both are in the unit
tests.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from agenthost.jobs import JobStatus
from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.support.agent_host import AGENT, AgentHost, Start, start_agent
from tests.support.memory_cgroup import MemoryCgroup
from tests.support.protocols import RunHost

pytestmark = [pytest.mark.machine, pytest.mark.timeout(120)]

MIB = 1 << 20
LIMIT = 320 * MIB

CODE = """
held = []

async def entrypoint(ctx: JobContext) -> None:
    match ctx.job.metadata.split():
        case ["leak"]:
            tell(ctx)
            await until("leak")
            while True:
                held.append(b"x" * 5_000_000)
                await asyncio.sleep(0)
        case ["hold", megabytes]:
            held.append(b"x" * int(megabytes) * 1_000_000)
            tell(ctx)
            await until("enough")
        case ["program"]:
            leak = "held = []\\nwhile True: held.append(b'x' * 5_000_000)"
            program = await asyncio.create_subprocess_exec(sys.executable, "-c", leak)
            tell(ctx, code=await program.wait())
            await until("enough")
        case _:
            tell(ctx)
            await until("enough")
"""


@pytest.fixture
def group() -> Iterator[MemoryCgroup]:
    """A cgroup with 320 MiB."""
    with MemoryCgroup(LIMIT) as group:
        yield group


@pytest.fixture
def start(
    start_method: str,
    group: MemoryCgroup,  # before `run_host`: a group can be removed when all that ran in it has ended
    run_host: RunHost,
    fake_server: FakeLiveKitServer,
    tmp_path: Path,
) -> Start:
    """`await start(CODE)`: a registered host in the group."""
    return partial(start_agent, run_host, fake_server, tmp_path, start_method=start_method, under=group.enter)


async def goes_on(agent: AgentHost, job: str, pid: int) -> None:
    """The job is where it was, and ends well when it is told to."""
    assert [update.status for update in agent.server.statuses(job)] == [JobStatus.RUNNING]
    assert psutil.pid_exists(pid)
    agent.let_go("enough")
    await agent.ended(job, JobStatus.SUCCESS)


async def test_kernel_takes_the_leaking_jobs_and_nobody_else(start: Start, group: MemoryCgroup) -> None:
    """1. Two jobs leak until the group is full, one does not. 2. The kernel kills the two: each is FAILED, and is said
    to have been taken by the OOM killer. 3. Host, templates and neighbour are the same processes as before; the next
    job runs."""
    agent = await start(CODE)
    neighbour, pid = await agent.start_job("wait")
    leaking = [await agent.start_job("leak") for _ in range(2)]
    pids = {pid for _, pid in leaking}
    for job, _ in leaking:
        await agent.wait_facts(job)
    before = group.pids() - pids
    assert {agent.host.pid, pid} < before
    agent.let_go("leak")
    for job, _ in leaking:
        error = await agent.ended(job, JobStatus.FAILED, timeout=60)
        assert "SIGKILL (out of memory: the kernel's OOM killer took it" in error, error
        assert "MiB resident" in error
        ended = await agent.host.wait_event("job ended", job_id=job)
        assert ended.fields["error"] == error
    assert group.oom_kills == 2
    assert before <= group.pids()
    (agent.folder / "leak").unlink()
    again = await agent.offer("wait")
    await agent.started(again)
    await goes_on(agent, neighbour, pid)
    await agent.ended(again, JobStatus.SUCCESS)


async def test_limit_of_the_file_ends_a_job_before_the_kernel_has_to(start: Start, group: MemoryCgroup) -> None:
    """The job is asked to end, and the server is told both figures; nothing is killed."""
    agent = await start(CODE, "limits: { memory: 80MB }")
    neighbour, _ = await agent.start_job("wait")
    large = await agent.offer("hold 120")
    await agent.host.wait_event("job stopping", job_id=large, reason="memory")
    agent.let_go("enough")
    error = await agent.ended(large, JobStatus.FAILED)
    assert "more than limits.memory (80 MB)" in error
    assert group.oom_kills == 0
    assert psutil.pid_exists(agent.host.pid)
    await agent.ended(neighbour, JobStatus.SUCCESS)


async def test_program_of_a_job_is_taken_before_its_job(start: Start, group: MemoryCgroup) -> None:
    """What user code starts has the job's place in the kernel's list; the largest is taken, and the job hears of it."""
    agent = await start(CODE)
    job, pid = await agent.start_job("program")
    facts = await agent.wait_facts(job, timeout=60)
    assert facts["code"] == -9
    assert group.oom_kills == 1
    await goes_on(agent, job, pid)


async def test_group_that_fills_up_makes_the_host_full(start: Start, group: MemoryCgroup) -> None:
    """Above the share of what the cgroup allows that `load.memory` names no job is taken, below it they come again."""
    agent = await start(CODE, "load: { memory: 60% }\nhttp: { listen: '127.0.0.1:0' }")
    large, _ = await agent.start_job(f"hold {int(0.6 * LIMIT / 1e6)}")
    await until_memory(agent, lambda used: used > 0.6)
    await agent.server.wait_report(AGENT, lambda report: not report.available)
    assert not (await agent.try_offer("wait")).assigned
    agent.let_go("enough")
    await agent.ended(large, JobStatus.SUCCESS)
    await until_memory(agent, lambda used: used < 0.5)
    await agent.server.wait_report(AGENT, lambda report: report.available, timeout=30)
    assert (await agent.try_offer("wait")).assigned
    assert group.oom_kills == 0


async def test_host_in_a_group_has_a_limit_of_memory_by_default(start: Start) -> None:
    """85 % of what the cgroup allows, where the file says nothing of `load`."""
    agent = await start(CODE, "load: null\nhttp: { listen: '127.0.0.1:0' }")
    assert (await memory_load(agent))["limit"] == 0.85


async def memory_load(agent: AgentHost) -> dict[str, float]:
    """The limit `memory` of the host, as /worker has it."""
    _, body = await agent.host.http("/worker")
    (part,) = [part for part in json.loads(body)["load_parts"] if part["name"] == "memory"]
    return dict(part)


async def until_memory(agent: AgentHost, condition: Callable[[float], bool]) -> None:
    for _ in range(150):
        if condition((await memory_load(agent))["used"]):
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"the load stays as it is: {await memory_load(agent)}")


async def test_code_that_needs_more_memory_than_there_is_is_refused_with_that_cause(
    start: Start, group: MemoryCgroup
) -> None:
    """The start ends as with any code that cannot be used, exit 78, and says who killed what imports it."""
    agent = await start("held = []\nwhile True: held.append(b'x' * 5_000_000)\n" + CODE, ready=False)
    assert await agent.host.exit_code(timeout=60) == 78
    assert "out of memory: the kernel's OOM killer took it" in agent.host.output()


async def test_group_that_dies_as_one_is_warned_about(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path
) -> None:
    """What Kubernetes makes of a container under version 2: no score keeps the host alive then. Version 1 has no such
    thing, and nothing is said."""
    with MemoryCgroup(LIMIT, kill_as_one=True) as group:
        agent = await start_agent(run_host, fake_server, tmp_path, CODE, under=group.enter)
        warned = agent.host.events("out of memory would end this host, too")
        assert [line.level for line in warned] == ["WARNING"] * (group.version == 2)
        await agent.host.close()
