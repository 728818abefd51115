"""The one mechanism that brings a job back: delete its dispatch, make it anew. Runs on the host's loop.

The server offers a dispatch once, so a new one is the only way to another offer; and of several hosts that delete one
dispatch exactly one is told so, which makes deleting the lock. Only who holds it touches anything else: a participant
that is removed without it could be the new agent of another host.
"""

import asyncio
from collections.abc import Sequence
from enum import Enum

from msgspec import Struct

from agenthost.errors import AgentHostError, CallRefused, ConnectionLost
from agenthost.recovery.server_api import ServerApi
from agenthost.recovery.values import DispatchInfo

CREATE_RETRIES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds between the tries to create what is deleted already: until one succeeds, the dispatch exists nowhere."""

UNSURE_SECONDS = 1.0
"""Who deletes creates within milliseconds: after this long it shows who it was that deleted."""


class Result(Enum):
    DONE = "dispatched again"
    TAKEN = "somebody else has it"
    ROOM_GONE = "the room is gone"
    NOBODY_THERE = "nobody is in the room"
    LOST = "the server took the deletion and nothing after it"


class Redispatched(Struct, frozen=True, kw_only=True):
    """`dispatch_id` is the new one, where there is one."""

    result: Result
    dispatch_id: str = ""


async def redispatch(
    server: ServerApi,
    dispatch: DispatchInfo,
    *,
    sid: str,
    attempt: int,
    ghost: str = "",
    needs_people: bool = False,
    retries: Sequence[float] = CREATE_RETRIES,
) -> Redispatched:
    """Have `dispatch` offered again, as attempt number `attempt`, if its room is still the one with `sid`.

    `ghost` is the identity of a participant that a dead process left behind. Raises ConnectionLost, CallRefused, but
    not once the dispatch is deleted: then it is tried again after each of `retries` (seconds), and at last LOST.
    """
    rooms = await server.list_rooms([dispatch.room])
    if not any(room.sid == sid for room in rooms):
        return Redispatched(result=Result.ROOM_GONE)
    if needs_people and not any(member.is_person for member in await server.list_members(dispatch.room)):
        return Redispatched(result=Result.NOBODY_THERE)
    if not await _take(server, dispatch, attempt):
        return Redispatched(result=Result.TAKEN)
    if ghost:
        await _remove(server, dispatch.room, ghost)
    made = await _create(server, dispatch, attempt, retries)
    return Redispatched(result=Result.DONE, dispatch_id=made) if made else Redispatched(result=Result.LOST)


async def _take(server: ServerApi, dispatch: DispatchInfo, attempt: int) -> bool:
    """Delete the dispatch; False when somebody else did."""
    try:
        return await server.delete_dispatch(dispatch.room, dispatch.id)
    except ConnectionLost:
        await asyncio.sleep(UNSURE_SECONDS)
        there = await server.list_dispatches(dispatch.room)
        if any(one.id == dispatch.id for one in there):
            raise
    # It is gone, and the answer was lost: it was we, unless somebody has made it anew.
    alike = [one for one in there if (one.agent_name, one.deployment) == (dispatch.agent_name, dispatch.deployment)]
    return not any(one.attempt >= attempt for one in alike)


async def _remove(server: ServerApi, room: str, ghost: str) -> None:
    try:
        await server.remove_member(room, ghost)
    except AgentHostError:
        pass  # the server removes it by itself in some seconds; what matters now is the new dispatch


async def _create(server: ServerApi, dispatch: DispatchInfo, attempt: int, retries: Sequence[float]) -> str:
    """The id of the new dispatch, "" if there is none."""
    for delay in (*retries, None):
        try:
            return await server.create_dispatch(dispatch, attempt=attempt)
        except CallRefused:
            break
        except ConnectionLost:
            if delay is not None:
                await asyncio.sleep(delay)
    return ""
