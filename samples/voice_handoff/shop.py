"""Two agents in one call: a greeter asks who is calling, then hands over to the desk, which knows the order.

Written for livekit-agents. What both know about the caller is the session's userdata. The models are stand-ins.
"""

from dataclasses import dataclass

from livekit.agents import Agent, AgentServer, AgentSession, JobContext, RunContext, function_tool

from agenthost.testing.voice_models import ScriptedLLM, ScriptedSTT, ToneTTS, ToolCall


@dataclass
class Caller:
    name: str = ""
    cups: int = 0


class Greeter(Agent):
    def __init__(self) -> None:
        script = {"i am ada": ToolCall(name="remember_name", arguments={"name": "Ada"})}
        super().__init__(instructions="Find out who is calling.", llm=ScriptedLLM(script, otherwise="Who is calling?"))

    async def on_enter(self) -> None:
        await self.session.say("Welcome to the tea shop. Who is calling?")

    @function_tool
    async def remember_name(self, context: RunContext[Caller], name: str) -> tuple[Agent, str]:
        """Call this as soon as the caller has said their name.

        Args:
            name: the caller's name
        """
        context.userdata.name = name
        return Desk(), f"Thank you, {name}."


class Desk(Agent):
    def __init__(self) -> None:
        script = {"tea": ToolCall(name="order_tea", arguments={"cups": 2})}
        super().__init__(instructions="Take the order.", llm=ScriptedLLM(script, otherwise="What would you like?"))

    async def on_enter(self) -> None:
        await self.session.say(f"What would you like, {self.session.userdata.name}?")

    @function_tool
    async def order_tea(self, context: RunContext[Caller], cups: int) -> str:
        """Order tea.

        Args:
            cups: how many
        """
        context.userdata.cups += cups
        return f"{context.userdata.cups} cups of tea for {context.userdata.name}."


server = AgentServer()


@server.rtc_session()
async def tea_shop(ctx: JobContext) -> None:
    session = AgentSession[Caller](
        userdata=Caller(),
        stt=ScriptedSTT(["I am Ada", "two cups of tea"]),
        tts=ToneTTS(),
        vad=None,
        turn_detection="stt",
    )
    await session.start(agent=Greeter(), room=ctx.room)
