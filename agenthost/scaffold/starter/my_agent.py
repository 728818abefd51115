"""An agent that greets everybody in its room. `agenthost.yaml` names `entrypoint`, and decides when it runs."""

from livekit import rtc

from agenthost import JobContext

CHAT = "lk.chat"  # the topic that LiveKit's chat components read


async def entrypoint(ctx: JobContext) -> None:
    """Runs once for each job, in a process of its own. Returning does not end the job: its room does."""
    ctx.add_participant_entrypoint(greet)
    await ctx.connect()


async def greet(ctx: JobContext, participant: rtc.RemoteParticipant) -> None:
    """Runs once for each person in the room, those who are there already included."""
    await ctx.agent.send_text(ctx.settings["greeting"], topic=CHAT, destination_identities=[participant.identity])
