"""No process survives what it belongs to: a job takes its programs along, and the host takes everything.

Both start methods, but for templates that were stopped: spawned processes have none.
"""

import asyncio
import os
import signal

import psutil
import pytest

from agenthost.jobs import JobStatus
from tests.support.agent_host import AgentHost, Start
from tests.support.host import signal_again
from tests.support.polling import poll

LEAVES = """
SLEEP = [sys.executable, "-S", "-c", "import time; time.sleep(300)"]
INNER = "open('inner', 'w').close(); import time; time.sleep(300)"
NESTED = [sys.executable, "-S", "-c", "import subprocess, sys, time; "
          f"subprocess.Popen([sys.executable, '-S', '-c', {INNER!r}], start_new_session=True); time.sleep(300)"]

def nested():
    subprocess.Popen(NESTED, start_new_session=True)
    while not Path("inner").exists():
        time.sleep(0.01)

def daemon(run):
    # the textbook way: two forks, a session of its own, no descriptors of the parent's
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.closerange(0, 256)
            run()
            time.sleep(300)
        os._exit(0)
    os.wait()

LEFT = {
    "program": lambda: subprocess.Popen(SLEEP),
    "program in a session of its own": lambda: subprocess.Popen(SLEEP, start_new_session=True),
    "program that has started another": nested,
    "shell in the background": lambda: os.system(f"'{sys.executable}' -S -c 'import time; time.sleep(300)' &"),
    "daemon": lambda: daemon(lambda: os.execv(SLEEP[0], SLEEP)),
    "fork": lambda: os.fork() or time.sleep(300),
    "daemon without exec": lambda: daemon(lambda: None),
}

async def entrypoint(ctx: JobContext) -> None:
    if ctx.job.metadata == "wait":
        await until("enough")
        return
    what, _, end = ctx.job.metadata.partition("|")
    LEFT[what]()
    tell(ctx)
    if end == "wait":
        await until("enough")
    elif end == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
"""

KINDS = (
    "program",
    "program in a session of its own",
    "program that has started another",
    "shell in the background",
    "daemon",
    "fork",
)


def strangers(agent: AgentHost, known: set[int]) -> list[str]:
    """The processes that came since, as `ps` would show them."""
    return [str(process) for process in agent.host.survivors() if process.pid not in known]


@pytest.mark.parametrize("end", ["returns", "crash"])
async def test_what_a_job_leaves_behind_goes_with_it(start_any: Start, end: str) -> None:
    """However it detached itself, as long as it was exec'd; and whether the job ended well or was killed."""
    agent = await start_any(LEAVES)
    neighbour, pid = await agent.start_job("wait")
    known = {process.pid for process in agent.host.survivors()}
    jobs = await asyncio.gather(*(agent.offer(f"{kind}|{end}") for kind in KINDS))
    for job in jobs:
        await agent.ended(job, JobStatus.FAILED if end == "crash" else JobStatus.SUCCESS)
        assert agent.facts(job) == {}
    await poll(lambda: not strangers(agent, known), timeout=3)
    assert strangers(agent, known) == []
    assert psutil.pid_exists(pid)
    agent.let_go("enough")
    await agent.ended(neighbour, JobStatus.SUCCESS)
    await agent.no_zombies()


async def test_daemon_that_was_never_exec_d_goes_with_the_host(start_any: Start) -> None:
    """A fork of a fork: nothing tells any more whose job it was, but it carries the host's mark."""
    agent = await start_any(LEAVES)
    known = {process.pid for process in agent.host.survivors()}
    job = await agent.offer("daemon without exec|returns")
    await agent.ended(job, JobStatus.SUCCESS)
    assert strangers(agent, known) != []
    agent.host.signal(signal.SIGTERM)
    assert await agent.host.exit_code() == 0
    assert await agent.host.wait_no_survivors(timeout=2) == []


async def test_nothing_survives_a_killed_host(start_any: Start) -> None:
    """Promise 7: jobs, templates, idle processes, programs and daemons of jobs, exec'd or not."""
    agent = await start_any(LEAVES, "num_idle_processes: 1")
    jobs = [(await agent.start_job(f"{kind}|wait"))[0] for kind in (*KINDS, "daemon without exec")]
    for job in jobs:
        await agent.wait_facts(job)
    assert len(agent.host.survivors()) >= 3 + 2 * len(jobs)
    os.kill(agent.host.pid, signal.SIGKILL)
    await agent.host.exit_code()
    assert await agent.host.wait_no_survivors(timeout=5) == []


@pytest.mark.parametrize("watch", ["[]", "[config]"])
async def test_nothing_survives_a_killed_host_whose_templates_were_stopped(start: Start, watch: str) -> None:
    """Where nothing is watched, the base is gone, and the agent template alone has to see to it."""
    agent = await start(LEAVES, f"reload: {{ watch: {watch} }}")
    templates = [agent.base, agent.template]
    if watch == "[]":
        await poll(lambda: not psutil.pid_exists(agent.base), timeout=30, what="the end of the base")
        templates.remove(agent.base)
    job, _ = await agent.start_job("daemon|wait")
    await agent.wait_facts(job)
    for pid in templates:
        os.kill(pid, signal.SIGSTOP)
    os.kill(agent.host.pid, signal.SIGKILL)
    await agent.host.exit_code()
    assert await agent.host.wait_no_survivors(timeout=5) == []


async def test_nothing_survives_a_host_that_is_killed_during_forks(start_any: Start) -> None:
    """Processes between two forks, without a Hello yet, or importing."""
    agent = await start_any(LEAVES, "num_idle_processes: 4")
    offers = [asyncio.create_task(agent.try_offer("wait")) for _ in range(40)]
    await agent.host.wait_event("job accepted", count=5)
    os.kill(agent.host.pid, signal.SIGKILL)
    await agent.host.exit_code()
    assert await agent.host.wait_no_survivors(timeout=5) == []
    await agent.server.stop()
    await asyncio.gather(*offers, return_exceptions=True)


async def test_nothing_survives_a_host_that_is_killed_while_it_imports(start_any: Start) -> None:
    """Nobody listens to its sockets yet."""
    agent = await start_any(
        "print('importing', flush=True)\ntime.sleep(60)\nasync def entrypoint(ctx): pass\n", ready=False
    )
    await agent.host.wait_event("importing")
    os.kill(agent.host.pid, signal.SIGKILL)
    await agent.host.exit_code()
    assert await agent.host.wait_no_survivors(timeout=5) == []


async def test_signal_to_the_whole_group_leaves_jobs_running(start_any: Start) -> None:
    """Scenario 33: Ctrl-C in a terminal drains, as a signal to the host alone does; the second one ends the jobs."""
    agent = await start_any(LEAVES, "limits: { shutdown: 2s }")
    job, pid = await agent.start_job("wait")
    agent.host.signal(signal.SIGINT, group=True)
    await agent.host.wait_event("draining")
    os.kill(pid, signal.SIGTERM)
    os.kill(pid, signal.SIGINT)
    agent.let_go("nothing")
    assert psutil.pid_exists(pid)
    await signal_again(agent.host, signal.SIGTERM, group=True)
    await agent.ended(job, JobStatus.SUCCESS, timeout=4)
    assert await agent.host.exit_code() == 3
