"""A session that tells a long story aloud, the same file for agenthost and for livekit-agents' own host."""

import os

from livekit.agents import Agent, AgentServer, AgentSession, JobContext, JobProcess

from agenthost.testing.voice_models import ScriptedLLM, ScriptedSTT, ToneTTS

from voice_agent import note, options  # isort: skip - beside this file, in the folder that both hosts are started in

STORY = "So many words that nobody ever heard the last of them. " * 10


def prewarm(proc: JobProcess) -> None:
    note("prewarm", "-")


server = AgentServer(
    load_fnc=lambda: 0.0, num_idle_processes=int(os.environ["BENCH_IDLE"]), setup_fnc=prewarm, **options
)


@server.rtc_session(agent_name="bench")
async def entrypoint(ctx: JobContext) -> None:
    session = AgentSession(
        llm=ScriptedLLM({}, otherwise="yes"),
        stt=ScriptedSTT(["stop"]),
        tts=ToneTTS(),
        vad=None,
        turn_detection="stt",
        aec_warmup_duration=None,
    )
    await session.start(agent=Agent(instructions=""), room=ctx.room)
    note("joined", ctx.job.room.name)
    session.say(STORY)
