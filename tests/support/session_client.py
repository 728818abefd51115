"""Somebody at the session topic of livekit-agents: asks, and keeps everything that comes."""

import asyncio
import contextlib
import uuid
from functools import partial
from typing import Any

from livekit import rtc
from livekit.protocol.agent_pb.agent_session import AgentSessionMessage, SessionRequest

SECONDS = 15.0  # for one answer; it takes some tens of milliseconds
PATIENCE = 0.5  # until a question is asked anew: the session may not be there yet


class SessionClient:
    """Make it as soon as `room` is joined. `got` is what came so far; `gone` is set when the last agent has left."""

    def __init__(self, room: rtc.Room) -> None:
        self.room = room
        self.got: list[AgentSessionMessage] = []
        self.gone = asyncio.Event()
        self._came = asyncio.Event()
        self._reading: set[asyncio.Task[None]] = set()
        room.register_byte_stream_handler("lk.agent.session", self._on_stream)
        room.on("participant_disconnected", self._on_left)

    async def send(self, **request: Any) -> str:
        """Ask everybody in the room; the id of the question. `get_agent_info={}`, say."""
        number = uuid.uuid4().hex
        message = AgentSessionMessage(request=SessionRequest(request_id=number, **request))
        writer = await self.room.local_participant.stream_bytes(name="question", topic="lk.agent.session")
        await writer.write(message.SerializeToString())
        await writer.aclose()
        return number

    async def ask(self, **request: Any) -> Any:
        """The answer of the session, once it is there to answer."""
        async with asyncio.timeout(SECONDS):
            while True:
                number = await self.send(**request)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(PATIENCE):
                        return await self._wait(partial(self._answer, number))

    async def event(self, kind: str, containing: str) -> AgentSessionMessage:
        """The event of that kind that contains a text."""
        async with asyncio.timeout(SECONDS):
            found: AgentSessionMessage = await self._wait(
                lambda: next((one for one in self.got if one.event.HasField(kind) and containing in str(one)), None)
            )
            return found

    async def _wait(self, found: Any) -> Any:
        while (value := found()) is None:
            self._came.clear()
            await self._came.wait()
        return value

    def _answer(self, number: str) -> Any:
        answers = (one.response for one in self.got if one.HasField("response"))
        return next((answer for answer in answers if answer.request_id == number), None)

    def _on_stream(self, stream: rtc.ByteStreamReader, _sender: str) -> None:
        task = asyncio.create_task(self._read(stream))
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    async def _read(self, stream: rtc.ByteStreamReader) -> None:
        message = AgentSessionMessage.FromString(b"".join([chunk async for chunk in stream]))
        if not message.HasField("request"):
            self.got.append(message)
            self._came.set()

    def _on_left(self, participant: rtc.RemoteParticipant) -> None:
        kinds = [one.kind for one in self.room.remote_participants.values() if one is not participant]
        if rtc.ParticipantKind.PARTICIPANT_KIND_AGENT not in kinds:
            self.gone.set()
