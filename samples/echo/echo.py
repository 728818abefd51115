"""Sends back what it gets: text as text, data as data, to the one it came from and on the same topic."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from livekit import rtc

from agenthost import JobContext

CHAT = "lk.chat"  # the topic that LiveKit's chat components use


async def entrypoint(ctx: JobContext) -> None:
    echo = Echo(ctx.room)
    ctx.room.register_text_stream_handler(CHAT, echo.on_text)
    ctx.room.on("data_received", echo.on_data)
    await ctx.connect()
    # Returning does not end the job: it lives as long as its room.


class Echo:
    """Answers in the room it is given. Handlers may not wait, so each answer is a task."""

    def __init__(self, room: rtc.Room) -> None:
        self._room = room
        self._answers: set[asyncio.Task[None]] = set()

    def on_text(self, reader: rtc.TextStreamReader, sender: str) -> None:
        self._start(self._send_text_back(reader, sender))

    def on_data(self, packet: rtc.DataPacket) -> None:
        if packet.participant is not None:  # a server may send data, too, and has no identity to answer to
            self._start(self._send_data_back(packet, packet.participant.identity))

    async def _send_text_back(self, reader: rtc.TextStreamReader, sender: str) -> None:
        text = await reader.read_all()
        await self._room.local_participant.send_text(text, topic=CHAT, destination_identities=[sender])

    async def _send_data_back(self, packet: rtc.DataPacket, sender: str) -> None:
        await self._room.local_participant.publish_data(
            packet.data, topic=packet.topic or "", destination_identities=[sender]
        )

    def _start(self, answer: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(answer)
        self._answers.add(task)  # the loop itself does not keep tasks alive
        task.add_done_callback(self._answers.discard)
