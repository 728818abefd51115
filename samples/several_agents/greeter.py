"""Greets everyone who comes into its room, and calls the clerk for those who write `clerk`."""

import asyncio

from livekit import api, rtc

from agenthost import JobContext

CHAT = "lk.chat"


async def entrypoint(ctx: JobContext) -> None:
    tasks: set[asyncio.Task[None]] = set()

    def on_text(reader: rtc.TextStreamReader, sender: str) -> None:
        task = asyncio.create_task(answer(ctx, reader, sender))
        tasks.add(task)  # the loop itself does not keep tasks alive
        task.add_done_callback(tasks.discard)

    ctx.room.register_text_stream_handler(CHAT, on_text)
    ctx.add_participant_entrypoint(greet)
    await ctx.connect()


async def greet(ctx: JobContext, participant: rtc.RemoteParticipant) -> None:
    text = f"Hello {participant.identity}! Write `clerk` to speak to somebody."
    await ctx.agent.send_text(text, topic=CHAT, destination_identities=[participant.identity])


async def answer(ctx: JobContext, reader: rtc.TextStreamReader, sender: str) -> None:
    if (await reader.read_all()).strip() != "clerk":
        return
    clerk = api.CreateAgentDispatchRequest(agent_name=ctx.settings["clerk"], room=ctx.room.name, metadata=sender)
    await ctx.api.agent_dispatch.create_dispatch(clerk)
