"""What the server hears of each end of a job: once, and right. Scenario 21."""

from pathlib import Path

import pytest

from agenthost.jobs import JobStatus
from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.testing.values import Faults
from tests.support.agent_host import AgentHost, start_agent
from tests.support.polling import poll
from tests.support.protocols import RunHost

CODE = """
def prewarm(process):
    if Path("broken").exists():
        raise RuntimeError("it cannot start")

async def entrypoint(ctx: JobContext) -> None:
    match ctx.job.metadata:
        case "shutdown":
            ctx.shutdown("done")
        case "raise":
            raise ValueError("it went wrong")
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "exit":
            os._exit(7)
        case "hang":
            time.sleep(60)
        case "eat":
            ctx.proc.userdata["eaten"] = os.urandom(1) * (256 * 2**20)
            await asyncio.sleep(60)
        case "wait":
            await until("enough")
"""
YAML = """
prewarm: my_agent:prewarm
limits: { unresponsive: 3s, memory: 200MiB }
"""
SUCCESS, FAILED = JobStatus.SUCCESS, JobStatus.FAILED


@pytest.fixture
async def agent(run_any_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path) -> AgentHost:
    return await start_agent(run_any_host, fake_server, tmp_path, CODE, YAML)


async def told(agent: AgentHost, job: str) -> tuple[JobStatus, str]:
    """The one end that the server was told, with its error; the host has ended by then, so that no other follows."""
    await poll(lambda: [one for one in agent.server.statuses(job) if one.status in (SUCCESS, FAILED)], timeout=40)
    await agent.host.close()
    statuses = [one for one in agent.server.statuses(job) if one.status in (SUCCESS, FAILED)]
    assert len(statuses) == 1, statuses
    return statuses[0].status, statuses[0].error


@pytest.mark.parametrize(
    ("what", "status", "error"),
    [
        ("return", SUCCESS, ""),
        ("shutdown", SUCCESS, ""),
        ("raise", FAILED, "ValueError: it went wrong"),
        ("crash", FAILED, "SIGSEGV"),
        ("killed", FAILED, "SIGKILL"),
        ("exit", FAILED, "7"),
        ("hang", FAILED, "limits.unresponsive"),
        ("eat", FAILED, "limits.memory"),
    ],
)
async def test_each_end_is_told_once_with_its_cause(agent: AgentHost, what: str, status: JobStatus, error: str) -> None:
    """A success has no error; a failure says what it was."""
    job = await agent.offer(what)
    found, said = await told(agent, job)
    assert found is status
    assert error in said
    assert bool(said) == (status is FAILED)


async def test_job_whose_process_cannot_start_is_told_as_failed(agent: AgentHost) -> None:
    """Accepted, assigned, and then its prewarm fails."""
    agent.let_go("broken")
    status, error = await told(agent, await agent.offer("return"))
    assert status is FAILED
    assert "it cannot start" in error


async def test_job_that_the_server_terminates_is_a_success(agent: AgentHost) -> None:
    """Told or not, it is heard by nobody: the server has ended it itself."""
    job, _ = await agent.start_job("wait")
    assert await agent.server.terminate(job)
    agent.let_go("enough")
    assert await told(agent, job) == (SUCCESS, "")


@pytest.mark.slow(5)
async def test_job_that_is_assigned_too_late_is_told_as_failed(run_host: RunHost, tmp_path: Path) -> None:
    """Its slot was given back after four seconds; running it all the same would exceed `max_jobs`."""
    async with FakeLiveKitServer(budget=20.0, faults=Faults(assign_delay=5.0)) as server:
        agent = await start_agent(run_host, server, tmp_path, CODE, YAML)
        job = await agent.offer("return")
        status, error = await told(agent, job)
    assert status is FAILED
    assert error == "this host does not wait for the job: not assigned in time"
    assert agent.host.events("job started") == []
