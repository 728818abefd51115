"""The same agent for livekit-agents; run by its own interpreter, which knows nothing of agenthost."""

import asyncio

from livekit.agents import AgentServer, JobContext

TALK_SECONDS = 6.0

# Faults are what is compared: neither side refuses calls because the machine is busy.
server = AgentServer(load_fnc=lambda: 0.0, load_threshold=float("inf"), num_idle_processes=4, port=0)


@server.rtc_session(agent_name="chaos-talk")
async def entrypoint(ctx: JobContext) -> None:
    await ctx.connect()
    await asyncio.sleep(TALK_SECONDS)
    await ctx.agent.publish_data("bye", topic="bye")
    await asyncio.sleep(0.2)
    ctx.shutdown("done")
