"""A host without what only Linux has, as on macOS: no prctl, no /proc, no waitid, no fork of a loaded template.

And without what not every Python can: those that uv installs are built for an old C library, whose posix_spawn makes no
session.
Python is the one of Linux; agenthost is told otherwise before anything of it runs. What C's stdio is called there is
the one thing that cannot be tried here.
"""

import os
import signal
from pathlib import Path

import psutil
import pytest

from agenthost.jobs import JobStatus
from tests.support.agent_host import AgentHost, Start

ELSEWHERE = """
import os
from agenthost import kernel

kernel.LINUX = False
kernel.line_buffer_native_output = lambda: None
del os.waitid, os.memfd_create

spawn = os.posix_spawn

def posix_spawn(*arguments, setsid=False, **options):
    if setsid:
        raise NotImplementedError("posix_spawn: setsid unavailable on this platform")
    return spawn(*arguments, **options)

os.posix_spawn = posix_spawn
"""
CODE = """
from agenthost import kernel

async def entrypoint(ctx: JobContext) -> None:
    print("said by", ctx.job.metadata)
    tell(ctx, linux=kernel.LINUX, parent=os.getppid(), waitid=hasattr(os, "waitid"))
    match ctx.job.metadata:
        case "wait":
            await until("enough")
        case "grow":
            held = os.urandom(1) * 300_000_000
            await until("enough")
        case "die":
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
async def agent(start: Start, tmp_path: Path) -> AgentHost:
    """With `start_method: auto`, one idle process and a limit of memory."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(ELSEWHERE)
    return await start(CODE, "num_idle_processes: 1\nlimits: { memory: 200MB }", env={"PYTHONPATH": str(folder)})


async def test_processes_are_spawned_and_their_ends_are_known(agent: AgentHost) -> None:
    """A job that ends well, one that is killed, one over its memory limit; then the host ends by itself."""
    job = await agent.offer("well")
    await agent.ended(job, JobStatus.SUCCESS)
    assert agent.facts(job) == {"linux": False, "parent": agent.host.pid, "waitid": False}
    assert agent.host.events("said by well", job_id=job)
    assert agent.host.events("template ready") == []
    assert "SIGKILL" in await agent.ended(await agent.offer("die"), JobStatus.FAILED)
    large = await agent.offer("grow")
    await agent.host.wait_event("job stopping", job_id=large, reason="memory")
    agent.let_go("enough")
    await agent.ended(large, JobStatus.FAILED)
    await agent.no_zombies()
    agent.host.signal(signal.SIGTERM)
    assert await agent.host.exit_code() == 0
    assert await agent.host.wait_no_survivors() == []


async def test_nothing_survives_a_killed_host_here_either(agent: AgentHost) -> None:
    """Without a signal for it each process sees the end of its channel: jobs, idle processes and the base."""
    job, pid = await agent.start_job("wait")
    await agent.wait_facts(job)
    assert psutil.pid_exists(pid)
    os.kill(agent.host.pid, signal.SIGKILL)
    await agent.host.exit_code()
    assert await agent.host.wait_no_survivors() == []
