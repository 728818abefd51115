"""Templates and the base killed at random moments while jobs come in, and at the end the host, in the middle of it.

Of forked processes alone: spawned ones have no template. A seed gives the order and the pauses; what each kill hits (a
fork under way, an import, a base about to rest, nobody) is the machine's doing.
"""

import asyncio
import os
import random
import signal
from pathlib import Path

import psutil
import pytest

from agenthost.jobs import JobStatus
from agenthost.testing.values import OfferOutcome
from tests.support.agent_host import AgentHost, Start

CODE = """
async def entrypoint(ctx: JobContext) -> None:
    if ctx.job.metadata == "call":
        tell(ctx)
        await until("enough")
    else:
        await asyncio.sleep(0.02)
"""
CALLS = 3
CALLERS = 3
KILLS = 20


def templates(agent: AgentHost) -> list[int]:
    """The base and the templates, those included that are not ready yet.

    The kernel takes jobs before them; a process that is just becoming a job's has run no user code and counts, too.
    """
    return [child.pid for child in agent.children() if 0 <= oom_score(child.pid) < 500]


def oom_score(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/oom_score_adj").read_text())
    except OSError:
        return -1  # it has just ended


async def kill_at_random(agent: AgentHost, chance: random.Random) -> None:
    """KILLS times one of them or all; a moment in which there is none does not count."""
    killed = 0
    while killed < KILLS:
        await asyncio.sleep(chance.uniform(0, 0.5))
        found = templates(agent)
        for pid in found if chance.random() < 0.3 else chance.sample(found, min(1, len(found))):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            killed += 1


async def offer_until(agent: AgentHost, over: asyncio.Event, accepted: list[str]) -> None:
    """One job after another; those that were taken."""
    while not over.is_set():
        result = await agent.try_offer()
        assert result.outcome in (OfferOutcome.ASSIGNED, OfferOutcome.REJECTED), result.outcome
        if result.outcome is OfferOutcome.ASSIGNED:
            accepted.append(result.job_id)
        await asyncio.sleep(0.05)


async def next_job_starts(agent: AgentHost) -> None:
    """At the latest when another template is there."""
    for _ in range(300):
        if (await agent.try_offer()).assigned:
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"no job starts any more:\n{agent.host.output()}")


@pytest.mark.slow(10)
@pytest.mark.timeout(180)
@pytest.mark.parametrize(("seed", "watch"), [(1, "[config]"), (2, "[]")], ids=["base stays", "base rests"])
async def test_kills_at_random_cost_no_call_and_no_accepted_job(start: Start, seed: int, watch: str) -> None:
    """1. Three calls run, offers keep coming, templates and base are killed. 2. The calls notice nothing, every job
    that was accepted has run, the next one starts. 3. The host is killed while offers come: nothing is left."""
    agent = await start(CODE, f"num_idle_processes: 2\nreload: {{ watch: {watch} }}\nload: {{ max_jobs: 50 }}")
    calls = [await agent.start_job("call") for _ in range(CALLS)]
    accepted: list[str] = []
    over = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for _ in range(CALLERS):
            group.create_task(offer_until(agent, over, accepted))
        await kill_at_random(agent, random.Random(seed))
        over.set()
    for job, pid in calls:
        assert psutil.pid_exists(pid), agent.host.output()
        assert [update.status for update in agent.server.statuses(job)] == [JobStatus.RUNNING]
    assert accepted, "no job came through: nothing was tried"
    for job in accepted:
        await agent.ended(job, JobStatus.SUCCESS, timeout=30)
    await next_job_starts(agent)
    await agent.no_zombies()
    callers = [asyncio.create_task(offer_until(agent, asyncio.Event(), accepted)) for _ in range(CALLERS)]
    await asyncio.sleep(random.Random(seed).uniform(0, 1.5))
    os.kill(agent.host.pid, signal.SIGKILL)
    await agent.host.exit_code()
    assert await agent.host.wait_no_survivors(timeout=5) == []
    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
