"""A job that floods its output is its own problem: neither the host nor a neighbour's log waits for it."""

import asyncio
import re
import time

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
    text = ((LINE + chr(10)) * 1000).encode()
    for _ in range(1000):
        await asyncio.sleep(0)
        if ctx.job.metadata == "native":
            libc.printf(b"%s", text)
        else:
            for _ in range(1000):
                print(LINE)
"""


@pytest.mark.parametrize("how", ["python", "native"])
async def test_100_mb_of_output_stall_nobody_and_what_was_dropped_is_counted(start: Start, how: str) -> None:
    """The host answers offers meanwhile, the neighbour's lines are all there, and every line is shown or counted."""
    agent = await start(CODE, "log_level: INFO")
    quiet, _ = await agent.start_job("quiet")
    noisy, _ = await agent.start_job(how)
    longest, answered = 0.0, 0
    while not agent.server.statuses(noisy)[1:]:
        began = time.monotonic()
        offer = await agent.try_offer()
        assert offer.outcome is OfferOutcome.ASSIGNED
        longest, answered = max(longest, time.monotonic() - began), answered + 1
        await asyncio.sleep(0.02)
    await agent.ended(noisy, JobStatus.SUCCESS)
    await agent.ended(quiet, JobStatus.SUCCESS)
    await agent.host.wait_event("job ended", job_id=noisy)
    assert answered > 5
    assert longest < 0.5, "the host's loop stood still"
    said = [line.message for line in agent.host.lines if line.fields.get("job_id") == quiet and line.name == "stdout"]
    assert said == [f"still {number}" for number in range(100)]
    lines = [line for line in agent.host.lines if line.fields.get("job_id") == noisy]
    dropped = sum(line.fields["count"] for line in lines if line.message == "log lines dropped")
    shown = sum(len(re.findall(r"x{99}", line.message)) for line in lines)
    assert dropped > 0
    assert shown + dropped == 1_000_000
