"""What agenthost runs in a crowd of calls: joins, talks for a while, says goodbye until the person leaves."""

import asyncio
import os
from pathlib import Path

from agenthost import JobContext, JobProcess

TALK_SECONDS = 6


def prewarm(process: JobProcess) -> None:
    """Say that this process runs jobs: those are what is killed."""
    Path(os.environ["CHAOS_PROCESSES"], str(os.getpid())).touch()


async def entrypoint(ctx: JobContext) -> None:
    await ctx.connect()
    for _ in range(TALK_SECONDS):
        await ctx.agent.publish_data("hello", topic="talk")
        await asyncio.sleep(1.0)
    while ctx.room.remote_participants:  # what is said last does not arrive if the speaker leaves at once
        await ctx.agent.publish_data("bye", topic="bye")
        await asyncio.sleep(0.2)
    ctx.shutdown("done")
