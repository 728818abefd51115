"""The same agent for livekit-agents; run by its own interpreter, which knows nothing of agenthost."""

import asyncio
import os
import time

from livekit.agents import AgentServer, JobContext, JobProcess


def note(event: str, what: str) -> None:
    """One line in one write, so that processes do not cut each other's lines."""
    with open(os.environ["BENCH_NOTES"], "ab", buffering=0) as file:
        file.write(f"{event} {os.getpid()} {time.monotonic()} {what}\n".encode())


def prewarm(proc: JobProcess) -> None:
    note("prewarm", "-")


# The comparison is about processes, so neither side looks at the machine's load: it would refuse jobs, and the real
# server offers none to a worker that reports 0.7 or more.
server = AgentServer(
    load_fnc=lambda: 0.0,
    load_threshold=float("inf"),
    num_idle_processes=int(os.environ["BENCH_IDLE"]),
    setup_fnc=prewarm,
    port=0,
)


@server.rtc_session(agent_name="bench")
async def entrypoint(ctx: JobContext) -> None:
    note("entry", ctx.job.room.name)
    if os.environ["BENCH_JOIN"] == "yes":
        await ctx.connect()
        note("joined", ctx.job.room.name)
    await asyncio.sleep(float(os.environ["BENCH_HOLD"]))
    ctx.shutdown()
