"""Comes for one customer, named by the metadata of its dispatch, and leaves when they do."""

from livekit import rtc

from agenthost import JobContext


async def entrypoint(ctx: JobContext) -> None:
    customer = ctx.job.metadata

    def on_left(participant: rtc.RemoteParticipant) -> None:
        if participant.identity == customer:
            ctx.shutdown("the customer left")

    ctx.room.on("participant_disconnected", on_left)
    await ctx.connect()
    await ctx.wait_for_participant(identity=customer)
    await ctx.agent.send_text(f"How can I help, {customer}?", topic="lk.chat", destination_identities=[customer])
