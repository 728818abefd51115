"""Templates are disposable: killed or hanging at any moment, they cost no running job, and the next one starts.

Of forked processes alone: spawned ones have no template, and need no base. What has to reach a process through its
template has to reach a spawned one, too.
"""

import asyncio
import os
import random
import signal

import psutil
import pytest

from agenthost.jobs import JobStatus
from agenthost.testing.values import OfferOutcome, OfferResult
from tests.support.agent_host import AgentHost, Start
from tests.support.polling import poll

CODE = """
async def entrypoint(ctx: JobContext) -> None:
    if ctx.job.metadata == "wait":
        tell(ctx, pid=os.getpid())
        await until("enough")
    else:
        tell(ctx, pid=os.getpid(), parent=os.getppid())
"""

STEADY = "reload: { watch: [config] }\nload: { max_jobs: 50 }"
"""With something to watch the base stays, and what else the machine does is no reason to refuse a job."""


def pid_of(agent: AgentHost, what: str) -> int:
    return agent.base if what == "base" else agent.template


@pytest.mark.parametrize("what", ["base", "template"])
async def test_killed_template_is_replaced_and_no_job_notices(start: Start, what: str) -> None:
    """The running job goes on, the next one starts, and a new template is there without anybody asking for it."""
    agent = await start(CODE, STEADY)
    job, pid = await agent.start_job("wait")
    event = f"{what} ready"
    killed = pid_of(agent, what)
    os.kill(killed, signal.SIGKILL)
    line = await agent.host.wait_event("template died", pid=killed)
    assert "SIGKILL" in line.fields["cause"]
    await agent.host.wait_event(event, count=2)
    assert (await agent.run())["parent"] == agent.host.pid
    assert psutil.pid_exists(pid)
    agent.let_go("enough")
    await agent.ended(job, JobStatus.SUCCESS)
    assert [update.status for update in agent.server.statuses(job)] == [JobStatus.RUNNING, JobStatus.SUCCESS]


async def test_base_and_template_killed_together(start: Start) -> None:
    """Both are made anew for the next job, which on a busy machine may take longer than an offer waits."""
    agent = await start(CODE, STEADY)
    job, _ = await agent.start_job("wait")
    for pid in (agent.base, agent.template):
        os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(30):
        while (result := await agent.try_offer()).outcome is not OfferOutcome.ASSIGNED:
            assert result.outcome is OfferOutcome.REJECTED
    await agent.ended(result.job_id, JobStatus.SUCCESS)
    agent.let_go("enough")
    await agent.ended(job, JobStatus.SUCCESS)


async def test_base_that_nobody_needs_ends_and_comes_back_for_the_next_template(start: Start) -> None:
    """Nothing is watched: it is gone once the template is there; a template that dies is replaced all the same."""
    agent = await start(CODE)
    base, template = agent.base, agent.template
    await poll(lambda: not psutil.pid_exists(base), timeout=30, what="the end of the base")
    job, pid = await agent.start_job("wait")
    os.kill(template, signal.SIGKILL)
    await agent.host.wait_event("template ready", count=2)
    assert (await agent.run())["parent"] == agent.host.pid
    assert psutil.pid_exists(pid)
    again = agent.base
    assert again != base
    await poll(lambda: not psutil.pid_exists(again), timeout=30, what="the end of the second base")
    agent.let_go("enough")
    await agent.ended(job, JobStatus.SUCCESS)


@pytest.mark.parametrize("what", ["base", "template"])
async def test_templates_killed_again_and_again_under_load_lose_no_job(start: Start, what: str) -> None:
    """Forks are under way whenever the signal comes: every offer is answered, and what was accepted runs."""
    agent = await start(CODE, f"num_idle_processes: 2\n{STEADY}")

    async def kill(times: int) -> None:
        for number in range(1, times + 1):
            await agent.host.wait_event(f"{what} ready", count=number)
            await asyncio.sleep(random.uniform(0, 0.1))
            os.kill(pid_of(agent, what), signal.SIGKILL)
            await agent.host.wait_event("template died", count=number)

    killing = asyncio.create_task(kill(4))
    offers: list[OfferResult] = []
    while not killing.done():
        offers += await asyncio.gather(*(agent.try_offer() for _ in range(5)))
    await killing
    assert {offer.outcome for offer in offers} <= {OfferOutcome.ASSIGNED, OfferOutcome.REJECTED}
    accepted = [offer.job_id for offer in offers if offer.outcome is OfferOutcome.ASSIGNED]
    assert len(accepted) >= 0.5 * len(offers)
    for job in accepted:
        await agent.ended(job, JobStatus.SUCCESS)
    await agent.no_zombies()


@pytest.mark.parametrize("what", ["base", "template"])
async def test_template_that_hangs_is_ended_and_replaced(start: Start, what: str) -> None:
    """A stopped process answers no fork request; five seconds later the next template does, for ever after."""
    agent = await start(CODE, STEADY)
    stopped = pid_of(agent, what)
    os.kill(stopped, signal.SIGSTOP)
    if what == "base":
        os.kill(agent.template, signal.SIGKILL)
    await agent.try_offer()
    await agent.host.wait_event("template hangs", pid=stopped)
    await agent.host.wait_event(f"{what} ready", count=2)
    await agent.run()
    assert not psutil.pid_exists(stopped)


SLOW = """
import time
if Path("slow").exists():
    time.sleep(2.5)

async def entrypoint(ctx: JobContext) -> None:
    pass
"""


async def test_offers_that_give_up_during_an_import_leave_no_template_behind(start: Start) -> None:
    """All wait for one import, which outlives their deadline of 1.5 s: the first offer after it is served."""
    agent = await start(SLOW, f"{STEADY}\nimports: shared")
    agent.let_go("slow")
    os.kill(agent.template, signal.SIGKILL)
    await agent.host.wait_event("template died")
    offers = await asyncio.gather(*(agent.try_offer() for _ in range(5)))
    assert {offer.outcome for offer in offers} == {OfferOutcome.REJECTED}
    await agent.host.wait_event("template ready", count=2)
    job = await agent.offer()
    await agent.ended(job, JobStatus.SUCCESS)
    templates = [child.pid for child in agent.children() if child.pid not in agent.idle()]
    assert sorted(templates) == sorted([agent.base, agent.template])


BROKEN_LATER = """
if Path("broken").exists():
    raise RuntimeError("broken since")

async def entrypoint(ctx: JobContext) -> None:
    pass
"""


async def test_template_that_cannot_be_made_again_is_tried_with_a_growing_delay(start: Start) -> None:
    """The host lives, each failure is told with its cause, and the repaired code serves again."""
    agent = await start(BROKEN_LATER, "imports: shared")
    agent.let_go("broken")
    os.kill(agent.template, signal.SIGKILL)
    lines = [await agent.host.wait_event("template failed", count=count) for count in (1, 2)]
    assert "RuntimeError: broken since" in lines[0].fields["error"]
    assert lines[1].at - lines[0].at > 0.9
    offer = await agent.try_offer()
    assert offer.outcome is OfferOutcome.REJECTED
    line = await agent.host.wait_event("offer rejected", reason="no process")
    assert "broken since" in line.fields["detail"]
    (agent.folder / "broken").unlink()
    job = await agent.offer()
    await agent.ended(job, JobStatus.SUCCESS)


async def test_program_of_many_modules_can_be_a_template(start_any: Start) -> None:
    """What it has loaded is told for the reload's sake, and must not stand in its way."""
    code = """
    import types
    for number in range(6000):
        module = types.ModuleType(f"part_{number}")
        module.__file__ = f"/a/folder/of/a/very/large/program/with/long/names/of/its/parts/{number}/__init__.py"
        sys.modules[module.__name__] = module

    async def entrypoint(ctx: JobContext) -> None:
        tell(ctx, parts=sum(name.startswith("part_") for name in sys.modules))
    """
    assert await (await start_any(code)).run() == {"parts": 6000}


async def test_large_environment_that_the_code_itself_loads(start_any: Start) -> None:
    """Before it imports its libraries, which may read it."""
    libraries = "csv, wave, zipapp, smtplib, ftplib, imaplib, poplib, sqlite3, plistlib, mailbox, fileinput, filecmp"
    libraries += ", netrc, cmd, optparse, pdb, trace, timeit, doctest, xmlrpc.client, tarfile, bdb"
    code = f"""
    os.environ.update({{f"OWN_{{number:05}}": "x" * 120 for number in range(12_000)}})
    import {libraries}
    async def entrypoint(ctx: JobContext) -> None:
        tell(ctx, size=sum(name.startswith("OWN_") for name in os.environ))
    """
    agent = await start_any(code)
    assert (await agent.run())["size"] == 12_000


async def test_large_environment_reaches_the_job(start_any: Start) -> None:
    """As large as the system lets one be: a few large variables, and 12,000 small ones."""
    code = """
    async def entrypoint(ctx: JobContext) -> None:
        tell(ctx, size=sum(len(value) for name, value in os.environ.items() if name.startswith(("BIG_", "SMALL_"))))
    """
    env = {f"BIG_{number}": "x" * 100_000 for number in range(4)} | {f"SMALL_{n}": "value" for n in range(12_000)}
    agent = await start_any(code, env=env)
    assert (await agent.run())["size"] == 460_000
