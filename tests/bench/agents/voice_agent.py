"""A session with a stand-in model, the same file for agenthost and for livekit-agents' own host."""

import asyncio
import os
import time

from livekit.agents import Agent, AgentServer, AgentSession, JobContext, JobProcess
from livekit.agents.voice.room_io import RoomOptions

from agenthost.testing.voice_models import ScriptedLLM


def note(event: str, what: str) -> None:
    """One line in one write, so that processes do not cut each other's lines."""
    with open(os.environ["BENCH_NOTES"], "ab", buffering=0) as file:
        file.write(f"{event} {os.getpid()} {time.monotonic()} {what}\n".encode())


def prewarm(proc: JobProcess) -> None:
    note("prewarm", "-")


# Only their own host opens a port, and the comparison is not about the machine's load: see peer.py.
options = {} if os.environ.get("BENCH_HOST") == "agenthost" else {"port": 0, "load_threshold": float("inf")}
server = AgentServer(
    load_fnc=lambda: 0.0, num_idle_processes=int(os.environ["BENCH_IDLE"]), setup_fnc=prewarm, **options
)


@server.rtc_session(agent_name="bench")
async def entrypoint(ctx: JobContext) -> None:
    note("entry", ctx.job.room.name)
    session = AgentSession(llm=ScriptedLLM({}))
    await session.start(agent=Agent(instructions=""), room=ctx.room, room_options=RoomOptions(audio_output=False))
    note("joined", ctx.job.room.name)
    await asyncio.sleep(float(os.environ["BENCH_HOLD"]))
    ctx.shutdown()
