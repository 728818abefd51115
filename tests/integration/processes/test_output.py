"""A job that floods its output is its own problem: neither the host nor a neighbour's log waits for it."""

import asyncio
import re
import time
from statistics import median

import pytest

from agenthost.jobs import JobStatus
from agenthost.testing.values import OfferOutcome
from tests.support.agent_host import Start

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
    text = ((LINE + chr(10)) * 1000).encode()
    for _ in range(1000):
        await asyncio.sleep(0)
        if ctx.job.metadata == "native":
            libc.printf(b"%s", text)
        else:
            for _ in range(1000):
                print(LINE)
"""


@pytest.mark.slow(9)
@pytest.mark.timeout(120)
@pytest.mark.parametrize("how", ["python", "native"])
async def test_100_mb_of_output_stall_nobody_and_what_was_dropped_is_counted(start: Start, how: str) -> None:
    """The host answers offers meanwhile, the neighbour's lines are all there, and every line is shown or counted."""
    agent = await start(CODE, "log_level: INFO")
    quiet, _ = await agent.start_job("quiet")
    noisy, _ = await agent.start_job(how)
    seconds = []
    while not agent.host.events("job ended", job_id=noisy):
        began = time.monotonic()
        offer = await agent.try_offer()
        assert offer.outcome is OfferOutcome.ASSIGNED
        seconds.append(time.monotonic() - began)
        await asyncio.sleep(0.02)
    await agent.ended(noisy, JobStatus.SUCCESS)
    await agent.ended(quiet, JobStatus.SUCCESS)
    assert len(seconds) > 10
    assert median(seconds) < 0.2 and max(seconds) < 2.0, "the host's loop stood still"
    said = [line.message for line in agent.host.lines if line.fields.get("job_id") == quiet and line.name == "stdout"]
    assert said == [f"still {number}" for number in range(100)]
    lines = [line for line in agent.host.lines if line.fields.get("job_id") == noisy]
    dropped = sum(line.fields["count"] for line in lines if line.message == "log lines dropped")
    shown = sum(len(re.findall(r"x{99}", line.message)) for line in lines)
    assert dropped > 0
    assert shown + dropped == 1_000_000
