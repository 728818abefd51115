"""What agenthost runs in a crowd of calls: joins, talks for a while, says goodbye, leaves."""

import asyncio

from agenthost import JobContext

TALK_SECONDS = 6.0


async def entrypoint(ctx: JobContext) -> None:
    await ctx.connect()
    await asyncio.sleep(TALK_SECONDS)
    await ctx.agent.publish_data("bye", topic="bye")
    await asyncio.sleep(0.2)
    ctx.shutdown("done")
