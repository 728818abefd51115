"""The pool with real processes: what dies or hangs while it waits costs no job, and costs little else."""

import asyncio
import os
import signal
import time

import psutil
import pytest

from agenthost.errors import ExitCode
from agenthost.jobs import JobStatus
from agenthost.testing.values import OfferOutcome
from tests.support.agent_host import Start
from tests.support.host import signal_again
from tests.support.polling import poll

WAITS = """
async def entrypoint(ctx: JobContext) -> None:
    await until("enough")
"""
QUICK = """
async def entrypoint(ctx: JobContext) -> None:
    tell(ctx, pid=os.getpid())
"""
IDLE_2 = "num_idle_processes: 2"


async def test_killed_idle_process_is_replaced_before_it_is_given_a_job(start_any: Start) -> None:
    """Scenario 1, first half: the job runs at its first try, on a process that lives."""
    agent = await start_any(QUICK, IDLE_2)
    idle = await agent.wait_idle(2, timeout=20)
    os.kill(idle[0], signal.SIGKILL)
    line = await agent.host.wait_event("idle process died", pid=idle[0])
    assert "SIGKILL" in line.fields["cause"]
    facts = [await agent.run(), await agent.run()]
    assert idle[0] not in [each["pid"] for each in facts]
    await agent.wait_idle(2, other_than=tuple(idle), timeout=20)
    assert agent.host.events("process failed") == []


async def test_all_idle_processes_killed_at_once_cost_no_job(start_any: Start) -> None:
    """Offers that come in the same moment as the deaths: the jobs run, on other processes."""
    agent = await start_any(QUICK, IDLE_2)
    idle = await agent.wait_idle(2, timeout=20)
    for pid in idle:
        os.kill(pid, signal.SIGKILL)
    facts = await asyncio.gather(agent.run(), agent.run(), agent.run())
    assert not set(idle) & {each["pid"] for each in facts}


@pytest.mark.quiet
async def test_stopped_idle_process_costs_the_job_two_seconds(start_any: Start) -> None:
    """Scenario 1, second half: one that hangs does not take its job; another does, in less than 3 s."""
    agent = await start_any(QUICK, "num_idle_processes: 1")
    [idle] = await agent.wait_idle(1, timeout=20)
    os.kill(idle, signal.SIGSTOP)
    began = time.monotonic()
    job = await agent.offer()
    assert await agent.started(job) != idle
    assert time.monotonic() - began < 3.0
    await agent.ended(job, JobStatus.SUCCESS)
    await poll(lambda: not psutil.pid_exists(idle), timeout=3, what="the stopped process lives")


async def test_second_signal_reaches_a_job_that_waits_for_another_process(start: Start) -> None:
    """Its first process hung, and so does the template that is to fork the next: it ends, and is not begun any more."""
    agent = await start(WAITS, "num_idle_processes: 1\nlimits: { shutdown: 1s }")
    [idle] = await agent.wait_idle(1, timeout=20)
    os.kill(agent.template, signal.SIGSTOP)
    os.kill(idle, signal.SIGSTOP)
    job = await agent.offer()
    await agent.host.wait_event("process failed", phase="launch")
    agent.host.signal(signal.SIGTERM)
    await agent.host.wait_event("draining", jobs=1)
    await signal_again(agent.host, signal.SIGTERM)
    await agent.ended(job, JobStatus.SUCCESS)
    assert await agent.host.exit_code() == ExitCode.JOBS_ENDED
    assert agent.host.events("job started") == []
    [line] = agent.host.events("job ended")
    assert (line.fields["outcome"], line.fields["reason"]) == ("stopped", "second signal")


@pytest.mark.quiet
async def test_max_jobs_1_under_50_offers_accepts_exactly_one(start_any: Start) -> None:
    """Scenario 4: the slot is taken before anything is awaited; the others are rejected within 200 ms."""
    agent = await start_any(WAITS, "num_idle_processes: 1\nload: { max_jobs: 1 }")
    await agent.wait_idle(1, timeout=20)
    offers = await asyncio.gather(*(agent.try_offer() for _ in range(50)))
    outcomes = [offer.outcome for offer in offers]
    assert outcomes.count(OfferOutcome.ASSIGNED) == 1
    answers = [answer for offer in offers for answer in offer.answers if not answer.available]
    assert len(answers) == len(offers) - 1 - outcomes.count(OfferOutcome.NO_WORKER)
    assert max(answer.answered_at - answer.offered_at for answer in answers) < 0.2
    agent.let_go("enough")
    [assigned] = [offer for offer in offers if offer.outcome is OfferOutcome.ASSIGNED]
    await agent.ended(assigned.job_id, JobStatus.SUCCESS)


BREAKS = """
import time

def prewarm(proc):
    while Path("break").exists():
        time.sleep(0.01)

async def entrypoint(ctx: JobContext) -> None:
    await until("enough")
"""


@pytest.mark.quiet
async def test_hanging_prewarm_is_bounded_and_backed_off(start_any: Start) -> None:
    """Scenario 5: killed after limits.init, its stacks in the log, and each failure doubles the delay before the next.

    Between the tries nothing runs: the host's CPU time is measured there.
    """
    agent = await start_any(BREAKS, "prewarm: my_agent:prewarm\nnum_idle_processes: 1\nlimits: { init: 2500ms }")
    [idle] = await agent.wait_idle(1, timeout=20)
    agent.let_go("break")
    job = await agent.offer()
    for count in (1, 2):
        line = await agent.host.wait_event("process failed", count=count)
        assert "limits.init (2.5 s)" in line.fields["error"]
        assert (line.fields["failures"], line.fields["retry_in_seconds"]) == (count, 0.5 * 2 ** (count - 1))
    host = psutil.Process(agent.host.pid)
    before = host.cpu_times()
    began = time.monotonic()
    assert await agent.wait_idle(1, other_than=(idle,), timeout=5) != []
    third = time.monotonic() - began
    after = host.cpu_times()
    assert 0.7 < third < 3.0
    assert (after.user - before.user + after.system - before.system) / third < 0.05
    assert any("in prewarm" in line.fields.get("traceback", "") + line.message for line in agent.host.lines)
    (agent.folder / "break").unlink()
    await agent.host.wait_event("process failed", count=2)
    agent.let_go("enough")
    await agent.ended(job, JobStatus.SUCCESS)


DIES_IDLE = """
import threading

def prewarm(proc):
    if Path("die").exists():
        threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGKILL)).start()

async def entrypoint(ctx: JobContext) -> None:
    pass
"""


async def test_idle_processes_that_die_young_are_replaced_slower_and_slower(start_any: Start) -> None:
    """A crash after prewarm must not become a loop that eats the machine."""
    agent = await start_any(DIES_IDLE, "prewarm: my_agent:prewarm\nnum_idle_processes: 1")
    [idle] = await agent.wait_idle(1, timeout=20)
    agent.let_go("die")
    os.kill(idle, signal.SIGKILL)
    times = [(await agent.host.wait_event("idle process died", count=count)).at for count in (1, 2, 3)]
    assert times[1] - times[0] > 0.4
    assert times[2] - times[1] > 0.9
    (agent.folder / "die").unlink()
    job = await agent.offer()
    await agent.ended(job, JobStatus.SUCCESS)
