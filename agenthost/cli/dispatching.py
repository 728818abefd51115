"""Dispatches an agent and finds out what came of it. Runs in `agenthost dispatch`, on a loop of its own.

The server tells little about a dispatch (its list lags by up to five seconds and cannot tell a missing worker from
one that rejects), so the room's participants are watched: an agent that serves has joined.
"""

import asyncio
import time
from enum import Enum

import aiohttp
from livekit import api
from livekit.protocol.agent import JobStatus
from livekit.protocol.models import ParticipantInfo
from msgspec import Struct

from agenthost.errors import AgentHostError, ConnectionLost, RegistrationRefused
from agenthost.livekit_server.connection import Connection

LIST_LAG = 6.0  # seconds after which ListDispatch shows every job there is
_LOOK_SECONDS = 0.2
_REQUEST_SECONDS = 10


class Answer(Enum):
    """What came of a dispatch; the value is the sentence that people read."""

    JOINED = "joined"
    NOBODY = (
        "nobody took the job: no host has registered this agent name, all are full, or all rejected the offer "
        "(their logs say `offer rejected` and why)"
    )
    DECLINED = (
        "a host ended the job for good without running it: a rule or handler said `terminate`, or the agent is in this "
        "room already (`unique_per_room`); its log says which"
    )
    EARLY = (
        "too early to tell why: the server says only after some seconds whether a host took the job; give it more than "
        "six (--timeout)"
    )
    ABSENT = (
        "a host took the job, but its agent is not in the room: still starting, failed, or gone again (see its log)"
    )


class Dispatched(Struct, frozen=True, kw_only=True):
    """A dispatch and what came of it. `identity` is empty unless the agent joined; `seconds` since the request."""

    dispatch_id: str
    agent: str
    room: str
    answer: Answer
    identity: str
    seconds: float


class Wanted(Struct, frozen=True, kw_only=True):
    """Which agent is wanted where. `metadata` is given to the job."""

    agent: str
    room: str
    metadata: str


async def dispatch(connection: Connection, wanted: Wanted, timeout: float) -> Dispatched:
    """Create the dispatch and wait until its agent joins, or it is clear that none will, at most `timeout` seconds.

    Raises RegistrationRefused for refused credentials, ConnectionLost for a server that cannot be reached.
    """
    limit = aiohttp.ClientTimeout(total=_REQUEST_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=limit, proxy=connection.proxy) as session,
            api.LiveKitAPI(connection.url, connection.api_key, connection.api_secret, session=session) as client,
        ):
            return await _dispatch(client, wanted, timeout)
    except api.ServerError as error:
        raise _refusal(error, connection) from error
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise ConnectionLost(f"cannot reach the LiveKit server at {connection.url}: {error or 'no answer'}") from error


async def _dispatch(client: api.LiveKitAPI, wanted: Wanted, timeout: float) -> Dispatched:
    before = await _agents(client, wanted)
    began = time.monotonic()
    dispatch_id = await _create(client, wanted)
    answer, identity = await _Watch(client, wanted, dispatch_id, before).wait(began, timeout)
    return Dispatched(
        dispatch_id=dispatch_id,
        agent=wanted.agent,
        room=wanted.room,
        answer=answer,
        identity=identity,
        seconds=time.monotonic() - began,
    )


async def _create(client: api.LiveKitAPI, wanted: Wanted) -> str:
    """Create the dispatch and return its id.

    A new room is dispatched to the agents without a name by itself: another dispatch beside that one would bring two
    jobs, or one without the metadata. So the room is made with the dispatch in it.
    """
    if not wanted.agent and not await _exists(client, wanted.room):
        nameless = api.RoomAgentDispatch(metadata=wanted.metadata)
        await client.room.create_room(api.CreateRoomRequest(name=wanted.room, agents=[nameless]))
        for dispatch in await client.agent_dispatch.list_dispatch(wanted.room):
            if not dispatch.agent_name:
                return dispatch.id
    request = api.CreateAgentDispatchRequest(agent_name=wanted.agent, room=wanted.room, metadata=wanted.metadata)
    return (await client.agent_dispatch.create_dispatch(request)).id


async def _exists(client: api.LiveKitAPI, room: str) -> bool:
    return bool((await client.room.list_rooms(api.ListRoomsRequest(names=[room]))).rooms)


class _Watch:
    """Looks at one room until its new agent is there, or it is clear that none will come."""

    def __init__(self, client: api.LiveKitAPI, wanted: Wanted, dispatch_id: str, before: frozenset[str]) -> None:
        self._client = client
        self._wanted = wanted
        self._dispatch_id = dispatch_id
        self._before = before

    async def wait(self, began: float, timeout: float) -> tuple[Answer, str]:
        answer = Answer.ABSENT
        listed = False
        while True:
            if joined := await _agents(self._client, self._wanted) - self._before:
                return Answer.JOINED, min(joined)
            waited = time.monotonic() - began
            if not listed and waited >= min(LIST_LAG, timeout):
                listed = True
                answer = await self._answer_by_list(complete=waited >= LIST_LAG)
            if waited >= timeout or answer is not Answer.ABSENT:
                return answer, ""
            await asyncio.sleep(_LOOK_SECONDS)

    async def _answer_by_list(self, *, complete: bool) -> Answer:
        dispatch = await self._client.agent_dispatch.get_dispatch(self._dispatch_id, self._wanted.room)
        jobs = dispatch.state.jobs if dispatch is not None else []
        if not jobs:
            return Answer.NOBODY if complete else Answer.EARLY
        ended = all(job.state.status == JobStatus.JS_SUCCESS and not job.state.participant_identity for job in jobs)
        return Answer.DECLINED if ended else Answer.ABSENT


async def _agents(client: api.LiveKitAPI, wanted: Wanted) -> frozenset[str]:
    """Identities of the participants in the room that are this agent's."""
    try:
        found = await client.room.list_participants(api.ListParticipantsRequest(room=wanted.room))
    except api.ServerError as error:
        if error.code == api.ServerErrorCode.NOT_FOUND:
            return frozenset()
        raise
    return frozenset(
        person.identity
        for person in found.participants
        if person.kind == ParticipantInfo.AGENT and person.attributes.get("lk.agent_name", "") == wanted.agent
    )


def _refusal(error: api.ServerError, connection: Connection) -> AgentHostError:
    if error.status in (401, 403):  # not the code: the server's answer to a wrong secret is no Twirp error
        return RegistrationRefused(
            f"the LiveKit server at {connection.url} refuses the key {connection.api_key}: "
            "check LIVEKIT_API_KEY and LIVEKIT_API_SECRET"
        )
    reason = error.message or "no reason given"
    return ConnectionLost(f"the LiveKit server at {connection.url} answered HTTP {error.status}: {reason}")
