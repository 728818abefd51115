"""The same agent for livekit-agents; run by its own interpreter, which knows nothing of agenthost."""

import asyncio
import os
from pathlib import Path

from livekit.agents import AgentServer, JobContext, JobProcess

TALK_SECONDS = 6


def prewarm(process: JobProcess) -> None:
    """Say that this process runs jobs: those are what is killed."""
    Path(os.environ["CHAOS_PROCESSES"], str(os.getpid())).touch()


# Faults are what is compared: neither side refuses calls because the machine is busy.
server = AgentServer(load_fnc=lambda: 0.0, load_threshold=float("inf"), num_idle_processes=4, port=0)
server.setup_fnc = prewarm


@server.rtc_session(agent_name="chaos-talk")
async def entrypoint(ctx: JobContext) -> None:
    await ctx.connect()
    for _ in range(TALK_SECONDS):
        await ctx.agent.publish_data("hello", topic="talk")
        await asyncio.sleep(1.0)
    while ctx.room.remote_participants:  # what is said last does not arrive if the speaker leaves at once
        await ctx.agent.publish_data("bye", topic="bye")
        await asyncio.sleep(0.2)
    ctx.shutdown("done")
