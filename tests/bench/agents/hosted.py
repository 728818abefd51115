"""What agenthost runs in the benchmark: notes when it was prewarmed, entered and joined, then holds for a while."""

import asyncio
import os
import time

from agenthost import JobContext, JobProcess


def note(event: str, what: str) -> None:
    """One line in one write, so that processes do not cut each other's lines."""
    with open(os.environ["BENCH_NOTES"], "ab", buffering=0) as file:
        file.write(f"{event} {os.getpid()} {time.monotonic()} {what}\n".encode())


def prewarm(proc: JobProcess) -> None:
    note("prewarm", "-")


async def entrypoint(ctx: JobContext) -> None:
    note("entry", ctx.job.room.name)
    if os.environ["BENCH_JOIN"] == "yes":
        await ctx.connect()
        note("joined", ctx.job.room.name)
    await asyncio.sleep(float(os.environ["BENCH_HOLD"]))
    ctx.shutdown()
