"""Who is at the session topic of livekit-agents: nobody, or this host's guests. Runs in job processes.

An `AgentSession` opens the topic `lk.agent.session` in its room. Everybody there hears each turn of both sides on it,
and whoever may send data reads the instructions and the history and speaks in the caller's name. It opens the topic by
the class `RoomSessionTransport`, a name of its module; in a job that name stands for another transport. The user's code
stays as it is.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from livekit import rtc
from livekit.agents.voice import agent_session
from livekit.agents.voice.remote_session import SessionTransport
from livekit.protocol.agent_pb.agent_session import AgentSessionMessage

from agenthost.ipc.messages import GuestSeen, StartJob
from agenthost.logs.events import get_logger

TOPIC = "lk.agent.session"

_NAME = "RoomSessionTransport"
_THEIRS = getattr(agent_session, _NAME)

log = get_logger("voice")


class SessionTopic:
    """The topic in the job of `start`. `say` tells the host which participant a guest turned out to be."""

    def __init__(self, start: StartJob, *, say: Callable[[GuestSeen], None]) -> None:
        self._mode = start.session_host
        self._sids = dict(start.guests)
        self._say = say

    def open(self) -> None:
        """From now on this process's sessions are as the agent's `session_host` says."""
        wanted = _THEIRS if self._mode == "room" else self._transport
        setattr(agent_session, _NAME, wanted)

    def welcome(self, sids: Mapping[str, str]) -> None:
        """What the host knows of its guests; what this job has seen itself it knows better."""
        self._sids = {identity: self._sids.get(identity) or sid for identity, sid in sids.items()}

    def is_guest(self, participant: rtc.RemoteParticipant) -> bool:
        """Whether it is the first one that joined with the identity of a guest."""
        sid = self._sids.get(participant.identity)
        if sid == "":
            sid = self._sids[participant.identity] = participant.sid
            self._say(GuestSeen(identity=participant.identity, sid=sid))
        return sid is not None and sid == participant.sid

    def _transport(self, room: rtc.Room) -> SessionTransport:
        return GuestTransport(room, self.is_guest) if self._mode == "own" else NobodysTransport()


class NobodysTransport(SessionTransport):
    """Hears nobody and tells nobody."""

    def __init__(self) -> None:
        self._closed = asyncio.Event()

    async def start(self) -> None:
        pass

    async def send_message(self, msg: AgentSessionMessage) -> None:
        pass

    async def close(self) -> None:
        self._closed.set()

    def __aiter__(self) -> "NobodysTransport":
        return self

    async def __anext__(self) -> AgentSessionMessage:
        await self._closed.wait()
        raise StopAsyncIteration


class GuestTransport(SessionTransport):
    """Hears those participants of `room` that `is_guest` says, in the order they spoke, and tells only them."""

    def __init__(self, room: rtc.Room, is_guest: Callable[[rtc.RemoteParticipant], bool]) -> None:
        self._room = room
        self._is_guest = is_guest
        self._streams: asyncio.Queue[Any] = asyncio.Queue()  # readers; None is the end
        self._sending = asyncio.Lock()
        self._is_open = False

    async def start(self) -> None:
        if self._is_open:
            return
        self._room.register_byte_stream_handler(TOPIC, self._on_stream)
        self._room.on("participant_connected", self._is_guest)  # the first one counts, whether it ever asks or not
        self._is_open = True
        self._guests()

    async def send_message(self, msg: AgentSessionMessage) -> None:
        """What cannot be sent is logged: a guest who leaves in the middle of it is no fault of the session's."""
        async with self._sending:
            guests = self._guests()
            if not guests:  # no destination at all would be everybody
                return
            try:
                writer = await self._room.local_participant.stream_bytes(
                    name=TOPIC, topic=TOPIC, destination_identities=guests
                )
                await writer.write(msg.SerializeToString())
                await writer.aclose()
            except Exception as error:
                log.warning("a guest was not told what the session does", error=str(error))

    async def close(self) -> None:
        if self._is_open:
            self._is_open = False
            self._room.off("participant_connected", self._is_guest)
            self._room.unregister_byte_stream_handler(TOPIC)
            self._streams.put_nowait(None)

    def __aiter__(self) -> "GuestTransport":
        return self

    async def __anext__(self) -> AgentSessionMessage:
        while (stream := await self._streams.get()) is not None:
            try:
                return AgentSessionMessage.FromString(b"".join([chunk async for chunk in stream]))
            except Exception as error:  # broken off, or no such message
                log.warning("what a guest asked cannot be read", error=str(error))
        raise StopAsyncIteration

    def _on_stream(self, stream: rtc.ByteStreamReader, identity: str) -> None:
        sender = self._room.remote_participants.get(identity)
        if sender is not None and self._is_guest(sender):
            self._streams.put_nowait(stream)
        elif hasattr(stream, "close"):
            stream.close()  # livekit 1.1.21 keeps one that nobody reads for as long as the process lives

    def _guests(self) -> list[str]:
        if not self._room.isconnected():
            return []
        return [one.identity for one in self._room.remote_participants.values() if self._is_guest(one)]
