"""A job that floods its output is its own problem: neither the host nor a neighbour's log waits for it.

The way of printing and the start method have nothing to do with each other: each is tried once.
"""

import asyncio
import re
import time
from statistics import median

import pytest

from agenthost.jobs import JobStatus
from agenthost.testing.values import OfferOutcome
from tests.support.agent_host import AgentHost, Start
from tests.support.polling import poll

CODE = """
import ctypes
libc = ctypes.CDLL(None)
LINE = "x" * 99

async def entrypoint(ctx: JobContext) -> None:
    if ctx.job.metadata == "quiet":
        for number in range(100):
            print("still", number)
            await asyncio.sleep(0.02)
        return
    if not ctx.job.metadata:
        return
    how, _, megabytes = ctx.job.metadata.partition(" ")
    text = ((LINE + chr(10)) * 1000).encode()
    lines = 0
    while lines < 10_000 * int(megabytes) or not Path("enough").exists():
        await asyncio.sleep(0)
        if how == "native":
            libc.printf(b"%s", text)
        else:
            for _ in range(1000):
                print(LINE)
        lines += 1000
    tell(ctx, lines=lines)
"""


@pytest.mark.quiet
@pytest.mark.slow(9)
@pytest.mark.timeout(240)
@pytest.mark.parametrize(("how", "start_method"), [("python", "auto"), ("native", "spawn")], indirect=["start_method"])
async def test_100_mb_of_output_stall_nobody_and_what_was_dropped_is_counted(
    start_any: Start, start_method: str, how: str
) -> None:
    """The host answers offers meanwhile, the neighbour's lines are all there, and every line is shown or counted."""
    agent = await start_any(CODE, "log_level: INFO")
    undisturbed = [await seconds_of_an_offer(agent) for _ in range(11)]
    await agent.host.wait_event("job ended", count=11, timeout=60)
    quiet, _ = await agent.start_job("quiet")
    megabytes = 100 if start_method == "auto" else 20  # the jobs that come meanwhile cost more than the flood
    noisy, _ = await agent.start_job(f"{how} {megabytes}")
    await agent.host.wait_event("x" * 99, job_id=noisy)
    seconds = []
    for _ in range(11):
        seconds.append(await seconds_of_an_offer(agent))
        await asyncio.sleep(0.05)  # the flood goes on
    agent.let_go("enough")
    await agent.ended(noisy, JobStatus.SUCCESS, timeout=120)
    await agent.ended(quiet, JobStatus.SUCCESS)
    assert median(seconds) < 0.2 + 10 * median(undisturbed), "the host's loop stood still"
    await agent.host.wait_event("job ended", job_id=quiet)
    said = [line.message for line in agent.host.lines if line.fields.get("job_id") == quiet and line.name == "stdout"]
    assert said == [f"still {number}" for number in range(100)]

    def accounted() -> tuple[int, int, int]:
        """Lines of the noisy job: shown, dropped; and those of anybody that the log itself had no room for."""
        lines = [line for line in agent.host.lines if line.fields.get("job_id") == noisy]
        lost = agent.host.events("log lines dropped")
        dropped, of_all = (
            sum(line.fields["count"] for line in lost if line.fields.get("job_id") == job) for job in (noisy, None)
        )
        return sum(len(re.findall(r"x{99}", line.message)) for line in lines), dropped, of_all

    # a log that is written slowly has the job's last lines behind its end
    lines = agent.facts(noisy)["lines"]
    await poll(lambda: sum(accounted()) >= lines, timeout=30)
    shown, dropped, of_all = accounted()
    assert dropped > 0
    assert shown + dropped <= lines <= shown + dropped + of_all


async def seconds_of_an_offer(agent: AgentHost) -> float:
    """From the offer of a job to its assignment."""
    began = time.monotonic()
    assert (await agent.try_offer()).outcome is OfferOutcome.ASSIGNED, agent.host.output()
    return time.monotonic() - began
