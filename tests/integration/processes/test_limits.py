"""`limits`: each one acts as the end-of-a-job table says, and tells the server and the log why."""

import signal
import time

import psutil
import pytest

from agenthost.jobs import JobStatus
from tests.support.agent_host import Start

BLOCKS = """
async def entrypoint(ctx: JobContext) -> None:
    if ctx.job.metadata == "wait":
        await until("enough")
        return
    end = time.monotonic() + float(ctx.job.metadata)
    while time.monotonic() < end:
        blocking_call()

def blocking_call():
    time.sleep(0.1)
"""


async def test_blocked_loop_is_shown_after_5_s_and_killed_at_the_limit(start_any: Start) -> None:
    """Scenario 13: the stacks come first; a job that wakes up in time survives, one that does not is a failure."""
    agent = await start_any(BLOCKS, "limits: { unresponsive: 7s }")
    job, pid = await agent.start_job("60")
    survivor, survivor_pid = await agent.start_job("6.3")
    neighbour, _ = await agent.start_job("wait")
    await agent.host.wait_event("job's event loop is blocked", job_id=job)
    error = await agent.ended(job, JobStatus.FAILED)
    assert "limits.unresponsive (7 s)" in error
    for blocked in (pid, survivor_pid):
        said = "\n".join(str(line.fields.get("traceback", "")) + line.message for line in agent.host.lines)
        assert "in blocking_call" in said
        assert agent.host.events("job's event loop is blocked", pid=blocked)
    await agent.ended(survivor, JobStatus.SUCCESS)
    agent.let_go("enough")
    await agent.ended(neighbour, JobStatus.SUCCESS)
    ended = (await agent.host.wait_event("job ended", job_id=job)).fields
    assert (ended["outcome"], ended["reason"]) == ("timed out", "unresponsive")


ENDS = """
async def session_end(ctx):
    print("session_end begins")
    if "long session_end" in ctx.job.metadata:
        await asyncio.sleep(60)

async def callback(reason):
    print(f"callback begins: {reason}")
    if "long callback" in ctx_metadata:
        await asyncio.sleep(60)

async def entrypoint(ctx: JobContext) -> None:
    global ctx_metadata
    ctx_metadata = ctx.job.metadata
    ctx.add_shutdown_callback(callback)
    tell(ctx)
    if "hang" in ctx.job.metadata:
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                pass
    await until("asked to stop")  # else it has a grace of 15 s
    for _ in range(10):  # turns of the loop: what was sent before that file was made is read in them
        await asyncio.sleep(0)
"""


async def test_max_duration_ends_a_job_politely(start_any: Start) -> None:
    """Scenario 40: a success with its reason; the shutdown callbacks run and hear it; process and slot are free."""
    agent = await start_any(ENDS, "limits: { max_duration: 1s }\nload: { max_jobs: 1 }")
    job = await agent.offer()
    await agent.host.wait_event("job stopping", job_id=job, reason="max_duration")
    agent.let_go("asked to stop")
    await agent.host.wait_event("callback begins: max_duration", job_id=job)
    await agent.ended(job, JobStatus.SUCCESS)
    ended = await agent.host.wait_event("job ended", job_id=job)
    assert ended.fields["reason"] == "max_duration"
    assert not psutil.pid_exists(ended.fields["pid"])
    agent.let_go("enough")
    await agent.server.wait_report("probe", lambda report: report.available)  # its slot is free
    assert (await agent.try_offer()).assigned


async def test_overlong_session_end_and_callback_are_cut_at_their_limits(start_any: Start) -> None:
    """Each has its own, at a natural end; what overran is named."""
    agent = await start_any(ENDS, "session_end: my_agent:session_end\nlimits: { session_end: 1s, shutdown: 1s }")
    job, _ = await agent.start_job("long session_end, long callback")
    await agent.wait_facts(job)
    assert await agent.server.terminate(job)
    agent.let_go("asked to stop")
    session_end, callback = [
        await agent.host.wait_event("took too long and is cancelled", job_id=job, phase=phase)
        for phase in ("session_end", "callbacks")
    ]
    assert 0.8 < callback.at - session_end.at < 3
    await agent.ended(job, JobStatus.SUCCESS)


HANGS_AT_THE_END = """
async def session_end(ctx):
    await asyncio.sleep(600)

async def hook():
    await asyncio.sleep(12)
    print("the hook is done")

async def entrypoint(ctx: JobContext) -> None:
    ctx.add_shutdown_callback(hook)
    ctx.shutdown("done")
"""


@pytest.mark.slow(15)
async def test_hook_that_takes_long_completes_behind_a_session_end_that_hangs(start_any: Start) -> None:
    """Scenario 19: more than the default of limits.shutdown; the phases are in the log with their durations."""
    limits = "session_end: my_agent:session_end\nlimits: { session_end: 1s, shutdown: 60s }"
    agent = await start_any(HANGS_AT_THE_END, limits)
    job = await agent.offer()
    await agent.ended(job, JobStatus.SUCCESS, timeout=60)
    await agent.host.wait_event("the hook is done", job_id=job)
    cut = await agent.host.wait_event("took too long and is cancelled", job_id=job)
    assert (cut.fields["phase"], cut.fields["limit_seconds"]) == ("session_end", 1)
    await agent.host.wait_event("a phase of the end is over", job_id=job, phase="callbacks")
    over = agent.host.events("a phase of the end is over", job_id=job)
    seconds = {line.fields["phase"]: line.fields["seconds"] for line in over}
    assert list(seconds) == ["entrypoint", "session_end", "callbacks"]
    assert 1 <= seconds["session_end"] < seconds["callbacks"]
    assert seconds["callbacks"] >= 12


async def test_job_that_will_not_end_is_killed_at_the_drain_deadline_plus_shutdown(start_any: Start) -> None:
    """limits.shutdown covers everything then; the wire is told a success, since the host wanted its end."""
    agent = await start_any(ENDS, "drain_timeout: 200ms\nlimits: { shutdown: 1s }")
    job, pid = await agent.start_job("hang, long callback")
    began = time.monotonic()
    agent.host.signal(signal.SIGTERM)
    assert await agent.host.exit_code() == 3
    assert time.monotonic() - began < 4
    assert [update.status for update in agent.server.statuses(job)][-1] is JobStatus.SUCCESS
    assert agent.host.events("callback begins: drain deadline", pid=pid) != []


async def test_init_that_takes_too_long_fails_the_job_that_waits_for_it(start_any: Start) -> None:
    """No idle process: the job is accepted with one that is still in its prewarm, and fails with the limit."""
    code = """
    def prewarm(proc):
        if Path("slow").exists():
            time.sleep(60)

    async def entrypoint(ctx: JobContext) -> None:
        pass
    """
    agent = await start_any(code, "prewarm: my_agent:prewarm\nlimits: { init: 5s }")
    agent.let_go("slow")
    job = await agent.offer()
    error = await agent.ended(job, JobStatus.FAILED)
    assert "limits.init (5 s)" in error
    stands = await agent.host.wait_event("where it stands", job_id=job)  # the log and the server hear of it apart
    assert "in prewarm" in stands.fields["traceback"]


async def test_job_that_never_joins_is_warned_about(start_any: Start) -> None:
    """limits.connect warns, once, and ends nothing."""
    agent = await start_any(BLOCKS, "limits: { connect: 500ms }")
    job, _ = await agent.start_job("wait")
    line = await agent.host.wait_event("job not connected", job_id=job)
    assert line.fields["after_seconds"] == 0.5
    await agent.host.wait_event("job started", job_id=(await agent.start_job("0"))[0])
    agent.let_go("enough")
    await agent.ended(job, JobStatus.SUCCESS)
    assert len(agent.host.events("job not connected", job_id=job)) == 1


GROWS = """
held = []

async def callback(reason):
    print(f"callback: {reason}")

async def entrypoint(ctx: JobContext) -> None:
    ctx.add_shutdown_callback(callback)
    held.append(os.urandom(1) * int(ctx.job.metadata) * 1_000_000)
    await asyncio.sleep(0.01)  # whatever the host has said meanwhile is heard before this job ends by itself
    tell(ctx)
    await until(f"end {ctx.job.id}")
"""


EATS = GROWS.replace(
    "    await asyncio.sleep(0.01)",
    """    try:
        await until(f"more {ctx.job.id}")
    except asyncio.CancelledError:
        pass
    held.append(os.urandom(1) * 80_000_000)
    await asyncio.sleep(0.01)""",
)


@pytest.mark.parametrize(
    ("megabytes", "why"), [(620, "over it by half"), (405, "still growing when it had been asked to end")]
)
async def test_job_far_over_its_memory_or_still_growing_is_killed(start_any: Start, megabytes: int, why: str) -> None:
    """No time to end for who would take the machine's memory meanwhile: a second after it was asked, it is gone."""
    agent = await start_any(EATS, "limits: { memory: 400MB }")
    job = await agent.offer(str(megabytes))
    if megabytes == 405:
        await agent.host.wait_event("job stopping", job_id=job, reason="memory", timeout=30)
        agent.let_go(f"more {job}")
    error = await agent.ended(job, JobStatus.FAILED, timeout=30)
    assert "more than limits.memory (400 MB)" in error
    assert f"it was killed, since it was {why}" in error
    ended = await agent.host.wait_event("job ended", job_id=job)
    assert (ended.fields["outcome"], ended.fields["reason"]) == ("failed", "memory")
    assert not agent.host.events("callback: memory", job_id=job)


async def test_memory_limits_warn_and_end(start_any: Start) -> None:
    """Scenario 35: private memory over the soft limit is told once; over the hard one the job ends, with its hooks.

    Each may be measured while it still grows: 160 MB and what a process has of its own are never a second warning.
    """
    agent = await start_any(GROWS, "limits: { memory_warn: 150MB, memory: 300MB }")
    small, medium, large = [await agent.offer(megabytes) for megabytes in ("1", "160", "305")]
    await agent.host.wait_event("job stopping", job_id=large, reason="memory")
    await agent.wait_facts(large, timeout=30)
    agent.let_go(f"end {large}")
    error = await agent.ended(large, JobStatus.FAILED)
    assert "memory" in error
    await agent.host.wait_event("callback: memory", job_id=large)
    over = agent.host.events("job over its memory limit", job_id=large)[0].fields
    assert over["bytes"] > over["limit"] == 300_000_000
    line = await agent.host.wait_event("job uses much memory", job_id=medium, timeout=30)
    assert 150_000_000 < line.fields["bytes"] < 300_000_000
    for job in (small, medium):
        agent.let_go(f"end {job}")
        await agent.ended(job, JobStatus.SUCCESS)
    assert agent.host.events("job uses much memory", job_id=small) == []
    assert len(agent.host.events("job uses much memory", job_id=medium)) == 1


@pytest.mark.parametrize("what", ["exit", "kill"])
async def test_death_is_explained_with_signal_and_memory(start_any: Start, what: str) -> None:
    """Scenario 34: agent, job, how it ended, and what it had of memory, since that is what people ask next."""
    code = """
    async def entrypoint(ctx: JobContext) -> None:
        if ctx.job.metadata == "exit":
            os._exit(42)
        os.kill(os.getpid(), signal.SIGKILL)
    """
    agent = await start_any(code)
    job = await agent.offer(what)
    error = await agent.ended(job, JobStatus.FAILED)
    line = await agent.host.wait_event("job ended", agent="probe", job_id=job)
    assert line.fields["error"] == error
    if what == "exit":
        assert "exit code 42" in error
    else:
        assert "SIGKILL (maybe out of memory, or an operator" in error
        assert "MiB resident" in error
