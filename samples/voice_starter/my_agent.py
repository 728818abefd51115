"""A voice agent as users of livekit-agents write it; nothing in here knows of agenthost.

The models are stand-ins, so that it runs without keys: put real ones (openai.LLM(), deepgram.STT() …) in their place.
"""

from livekit.agents import Agent, AgentServer, AgentSession, JobContext, JobProcess, RunContext, cli, function_tool

from agenthost.testing.voice_models import ScriptedLLM, ScriptedSTT, ToneTTS, ToolCall

SCRIPT = {
    "hello": "Hello, how can I help you?",
    "weather": ToolCall(name="look_up_weather", arguments={"city": "Bern"}),
    "story": "Once upon a time there was a host who had so many stories to tell that nobody ever heard all of them.",
}


class Assistant(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="You are a helpful voice assistant.")

    async def on_enter(self) -> None:
        await self.session.say("Welcome!")

    @function_tool
    async def look_up_weather(self, context: RunContext, city: str) -> str:
        """Look up the weather.

        Args:
            city: where
        """
        return f"It is sunny in {city}."


server = AgentServer()


def prewarm(proc: JobProcess) -> None:
    proc.userdata["script"] = SCRIPT


server.setup_fnc = prewarm


@server.rtc_session()
async def my_agent(ctx: JobContext) -> None:
    ctx.log_context_fields = {"room_name": ctx.room.name}
    session = AgentSession(
        llm=ScriptedLLM(ctx.proc.userdata["script"]),
        stt=ScriptedSTT(["hello", "tell me a story"]),
        tts=ToneTTS(),
        vad=None,  # the stand-in hears for itself when somebody speaks
        turn_detection="stt",
        aec_warmup_duration=None,  # may be interrupted from the first word
    )
    await session.start(agent=Assistant(), room=ctx.room)


if __name__ == "__main__":
    cli.run_app(server)
