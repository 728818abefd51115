"""An interpreter between two people: each is heard by a session of their own, and the other hears the translation.

Written for livekit-agents. The models are stand-ins: a real one would translate more than two sentences.
"""

from livekit import rtc
from livekit.agents import Agent, AgentServer, AgentSession, JobContext
from livekit.agents.voice.room_io import RoomOptions

from agenthost.testing.voice_models import ScriptedLLM, ScriptedSTT, ToneTTS

GERMAN = {"good morning": "Guten Morgen", "guten morgen": "Good morning", "thank you": "Danke", "danke": "Thank you"}

server = AgentServer()


@server.rtc_session()
async def interpret(ctx: JobContext) -> None:
    ctx.add_participant_entrypoint(listen)
    await ctx.connect()


async def listen(ctx: JobContext, person: rtc.RemoteParticipant) -> None:
    """One session for one person; whoever speaks German says so in an attribute."""
    line = "guten Morgen" if person.attributes.get("language") == "de" else "good morning"
    session = AgentSession(
        stt=ScriptedSTT([line]),
        llm=ScriptedLLM(GERMAN, otherwise="…"),
        tts=ToneTTS(),
        vad=None,
        turn_detection="stt",
    )
    options = RoomOptions(participant_identity=person.identity, text_input=False, close_on_disconnect=True)
    await session.start(agent=Agent(instructions="Translate."), room=ctx.room, room_options=options)
