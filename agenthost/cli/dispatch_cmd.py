"""`agenthost dispatch AGENT --room ROOM`: ask an agent into a room, and say what came of it.

The server tells little about a dispatch (its list lags by up to five seconds and cannot tell a missing worker from
one that rejects), so the room's participants are watched: an agent that serves has joined.
"""

import argparse
import asyncio
import json
import os
import time
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from agenthost.cli import output, target
from agenthost.errors import ConnectionLost, ExitCode, RegistrationRefused, UsageError
from agenthost.livekit_server.connection import Connection

if TYPE_CHECKING:
    from livekit.api import LiveKitAPI, ServerError

LIST_LAG = 6.0  # seconds after which ListDispatch shows every job there is
_LOOK_SECONDS = 0.2
_REQUEST_SECONDS = 10


class Answer(Enum):
    """What came of a dispatch; the value is the sentence that people read."""

    JOINED = "joined"
    NOBODY = (
        "nobody took the job: no host has registered this agent name, or all rejected the offer "
        "(their logs say `offer rejected` and why)"
    )
    DECLINED = "a host ended the job for good without running it (a rule or handler said `terminate`)"
    ABSENT = (
        "a host took the job, but its agent is not in the room: still starting, failed, or gone again (see its log)"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatched:
    """A dispatch and what came of it. `identity` is empty unless the agent joined; `seconds` since the request."""

    dispatch_id: str
    agent: str
    room: str
    answer: Answer
    identity: str
    seconds: float


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("dispatch", help="ask an agent into a room and wait until it joins")
    parser.add_argument("agent", metavar="AGENT", help='the agent_name; "" for agents without one')
    target.add_arguments(parser)
    parser.add_argument("--room", required=True, help="the room; made if there is none")
    parser.add_argument("--metadata", default="", metavar="TEXT", help="given to the job as ctx.job.metadata")
    parser.add_argument("--timeout", type=float, default=15.0, metavar="SECONDS", help="default: 15")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    if not args.room:
        raise UsageError("--room is empty; name the room")
    connection = target.find_connection(args.file, args.url, os.environ)
    dispatched = asyncio.run(_dispatch(connection, args.agent, args.room, args.metadata, args.timeout))
    _show(dispatched, args.format)
    return ExitCode.OK if dispatched.answer is Answer.JOINED else ExitCode.FAILURE


async def _dispatch(connection: Connection, agent: str, room: str, metadata: str, timeout: float) -> Dispatched:
    import aiohttp
    from livekit import api

    limit = aiohttp.ClientTimeout(total=_REQUEST_SECONDS)
    try:
        async with api.LiveKitAPI(connection.url, connection.api_key, connection.api_secret, timeout=limit) as client:
            before = await _agents(client, agent, room)
            began = time.monotonic()
            request = api.CreateAgentDispatchRequest(agent_name=agent, room=room, metadata=metadata)
            dispatch = await client.agent_dispatch.create_dispatch(request)
            watch = _Watch(client, agent, room, dispatch.id, before)
            answer, identity = await watch.wait(began, timeout)
            return Dispatched(
                dispatch_id=dispatch.id,
                agent=agent,
                room=room,
                answer=answer,
                identity=identity,
                seconds=time.monotonic() - began,
            )
    except api.ServerError as error:
        raise _refusal(error, connection) from error
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise ConnectionLost(f"cannot reach the LiveKit server at {connection.url}: {error or 'no answer'}") from error


class _Watch:
    """Looks at one room until its new agent is there, or it is clear that none will come."""

    def __init__(self, client: "LiveKitAPI", agent: str, room: str, dispatch_id: str, before: frozenset[str]) -> None:
        self._client = client
        self._agent = agent
        self._room = room
        self._dispatch_id = dispatch_id
        self._before = before

    async def wait(self, began: float, timeout: float) -> tuple[Answer, str]:
        answer = Answer.ABSENT
        listed = False
        while True:
            if joined := await _agents(self._client, self._agent, self._room) - self._before:
                return Answer.JOINED, min(joined)
            waited = time.monotonic() - began
            if not listed and waited >= min(LIST_LAG, timeout):
                listed = True
                answer = await self._answer_by_list()
            if waited >= timeout or answer is not Answer.ABSENT:
                return answer, ""
            await asyncio.sleep(_LOOK_SECONDS)

    async def _answer_by_list(self) -> Answer:
        from livekit.protocol.agent import JobStatus

        dispatch = await self._client.agent_dispatch.get_dispatch(self._dispatch_id, self._room)
        jobs = dispatch.state.jobs if dispatch is not None else []
        if not jobs:
            return Answer.NOBODY
        ended = all(job.state.status == JobStatus.JS_SUCCESS and not job.state.participant_identity for job in jobs)
        return Answer.DECLINED if ended else Answer.ABSENT


async def _agents(client: "LiveKitAPI", agent: str, room: str) -> frozenset[str]:
    """Identities of the participants in `room` that are this agent's."""
    from livekit import api
    from livekit.protocol.models import ParticipantInfo

    try:
        found = await client.room.list_participants(api.ListParticipantsRequest(room=room))
    except api.ServerError as error:
        if error.code == "not_found":
            return frozenset()
        raise
    return frozenset(
        person.identity
        for person in found.participants
        if person.kind == ParticipantInfo.AGENT and person.attributes.get("lk.agent_name", "") == agent
    )


def _refusal(error: "ServerError", connection: Connection) -> Exception:
    if error.status in (401, 403):
        return RegistrationRefused(
            f"the LiveKit server at {connection.url} refuses the key {connection.api_key}: "
            "check LIVEKIT_API_KEY and LIVEKIT_API_SECRET"
        )
    return ConnectionLost(
        f"the LiveKit server at {connection.url} answered HTTP {error.status}: {error.message or 'no reason given'}"
    )


def _show(dispatched: Dispatched, form: str) -> None:
    if form == "json":
        fields = {
            "dispatch_id": dispatched.dispatch_id,
            "agent": dispatched.agent,
            "room": dispatched.room,
            "answer": dispatched.answer.name.lower(),
            "identity": dispatched.identity,
            "seconds": round(dispatched.seconds, 2),
        }
        output.line(json.dumps(fields))
    elif dispatched.answer is Answer.JOINED:
        output.line(f"{dispatched.identity} joined {dispatched.room} after {dispatched.seconds:.1f} s")
    else:
        output.line(f"no agent `{dispatched.agent}` in {dispatched.room} after {dispatched.seconds:.1f} s")
        output.line(dispatched.answer.value)
