"""The few calls of the LiveKit server API that bring jobs back, each with a time-out. Runs on the host's loop.

Twirp by hand over the host's own HTTP session: `livekit.api` would cost every host 6 MB for what it does not use.
"""

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import TypeVar

import aiohttp
from google.protobuf.message import DecodeError, Message
from livekit.protocol import agent, agent_dispatch, models, room

from agenthost.enum_names import enum_name
from agenthost.errors import CallRefused, ConnectionLost
from agenthost.jobs import RoomInfo
from agenthost.recovery.values import ATTEMPT_ATTRIBUTE, DispatchInfo, Member

CALL_SECONDS = 5.0

CALLS_AT_ONCE = 20
"""So many to one server; the next one waits, and has its time-out from then on."""

_AGENT_NAME = "lk.agent_name"
_UNREACHABLE = frozenset({"unavailable", "deadline_exceeded", "internal", "unknown", "resource_exhausted"})

M = TypeVar("M", bound=Message)


class ServerApi:
    """One LiveKit server. Every method raises ConnectionLost (retry) or CallRefused (do not).

    url      as in the configuration: ws(s):// or http(s)://
    sign     gives the token of one call: admin of the room it is given, or, for "", lister of rooms
    calls    how many were made since the start
    """

    def __init__(
        self, session: aiohttp.ClientSession, *, url: str, sign: Callable[[str], str], proxy: str | None = None
    ) -> None:
        scheme, rest = url.split("://", 1)
        self._base = f"{scheme.replace('ws', 'http')}://{rest.rstrip('/')}/twirp/livekit."
        self._session = session
        self._sign = sign
        self._proxy = proxy
        self._turns = asyncio.Semaphore(CALLS_AT_ONCE)
        self.calls = 0

    async def list_rooms(self, names: Iterable[str] = ()) -> tuple[RoomInfo, ...]:
        """All rooms, or those of these names that there are. Their counts of participants are seconds old."""
        request = room.ListRoomsRequest(names=names)
        answer = await self._call("RoomService/ListRooms", "", request, room.ListRoomsResponse)
        return tuple(_room(one) for one in answer.rooms)

    async def list_members(self, room_name: str) -> tuple[Member, ...]:
        """Who is in a room, hidden ones included; nobody is in one that does not exist."""
        request = room.ListParticipantsRequest(room=room_name)
        answer = await self._call("RoomService/ListParticipants", room_name, request, room.ListParticipantsResponse)
        return tuple(_member(one) for one in answer.participants)

    async def remove_member(self, room_name: str, identity: str) -> bool:
        """False when nobody of that identity was there."""
        request = room.RoomParticipantIdentity(room=room_name, identity=identity)
        return await self._found("RoomService/RemoveParticipant", room_name, request, room.RemoveParticipantResponse)

    async def list_dispatches(self, room_name: str) -> tuple[DispatchInfo, ...]:
        """The dispatches of a room; a job of theirs shows up to 5 s late, and what became of it hardly ever."""
        request = agent_dispatch.ListAgentDispatchRequest(room=room_name)
        answer = await self._call(
            "AgentDispatchService/ListDispatch", room_name, request, agent_dispatch.ListAgentDispatchResponse
        )
        return tuple(_dispatch(one) for one in answer.agent_dispatches)

    async def delete_dispatch(self, room_name: str, dispatch_id: str) -> bool:
        """False when it was gone: of several who delete one dispatch, exactly one is told True."""
        request = agent_dispatch.DeleteAgentDispatchRequest(room=room_name, dispatch_id=dispatch_id)
        return await self._found(
            "AgentDispatchService/DeleteDispatch", room_name, request, agent_dispatch.AgentDispatch
        )

    async def create_dispatch(self, like: DispatchInfo, *, attempt: int) -> str:
        """Dispatch again what `like` asked for, as attempt number `attempt`; the id of the new dispatch."""
        request = agent_dispatch.CreateAgentDispatchRequest(
            room=like.room,
            agent_name=like.agent_name,
            deployment=like.deployment,
            metadata=like.metadata,
            attributes={**like.attributes, ATTEMPT_ATTRIBUTE: str(attempt)},
        )
        answer = await self._call(
            "AgentDispatchService/CreateDispatch", like.room, request, agent_dispatch.AgentDispatch
        )
        return answer.id

    async def _found(self, method: str, room_name: str, request: Message, answer: type[Message]) -> bool:
        try:
            await self._call(method, room_name, request, answer)
        except CallRefused as error:
            if error.code != "not_found":
                raise
            return False
        return True

    async def _call(self, method: str, room_name: str, request: Message, answer: type[M]) -> M:
        async with self._turns:
            body = await self._post(method, room_name, request)
        message = answer()
        try:
            message.ParseFromString(body)
        except DecodeError:
            raise ConnectionLost(f"{method} was answered by something that is no LiveKit server") from None
        return message

    async def _post(self, method: str, room_name: str, request: Message) -> bytes:
        self.calls += 1
        headers = {"Authorization": f"Bearer {self._sign(room_name)}", "Content-Type": "application/protobuf"}
        limit = aiohttp.ClientTimeout(total=CALL_SECONDS)
        url = self._base + method
        try:
            async with self._session.post(
                url, data=request.SerializeToString(), headers=headers, timeout=limit, proxy=self._proxy
            ) as response:
                body = await response.read()
                if response.status != 200:
                    raise _error(method, response.status, body)
        except TimeoutError:
            raise ConnectionLost(f"{method} was not answered within {CALL_SECONDS:g} s") from None
        except (aiohttp.ClientError, OSError) as error:
            raise ConnectionLost(f"{method} failed: {type(error).__name__}") from None  # its text may hold the URL
        return body


def _error(method: str, status: int, body: bytes) -> ConnectionLost | CallRefused:
    """What the server said, as an error. A room that no node knows is `unavailable`, like a node that is away."""
    code = _twirp_code(body)
    text = f"{method} was answered with {code or 'no reason'} (HTTP {status})"
    if code in _UNREACHABLE or (not code and status >= 500):
        return ConnectionLost(text)
    return CallRefused(text, code=code or ("not_found" if status == 404 else str(status)))


def _twirp_code(body: bytes) -> str:
    try:
        said = json.loads(body)
    except ValueError:
        return ""
    return str(said.get("code", "")) if isinstance(said, dict) else ""


def _room(info: models.Room) -> RoomInfo:
    return RoomInfo(
        name=info.name,
        sid=info.sid,
        metadata=info.metadata,
        num_participants=info.num_participants,
        max_participants=info.max_participants,
        created_at=info.creation_time_ms / 1000 or float(info.creation_time),
    )


def _member(info: models.ParticipantInfo) -> Member:
    is_agent = info.kind == models.ParticipantInfo.Kind.AGENT and _AGENT_NAME in info.attributes
    return Member(
        identity=info.identity,
        kind=enum_name(models.ParticipantInfo.Kind, info.kind),
        hidden=info.permission.hidden,
        agent_name=info.attributes[_AGENT_NAME] if is_agent else None,
    )


def _dispatch(info: agent_dispatch.AgentDispatch) -> DispatchInfo:
    return DispatchInfo(
        id=info.id,
        room=info.room,
        agent_name=info.agent_name,
        deployment=info.deployment,
        metadata=info.metadata,
        attributes=dict(info.attributes),
        created_at=info.state.created_at / 1e9,
        ended=any(job.state.status == agent.JobStatus.JS_SUCCESS for job in info.state.jobs),
    )
