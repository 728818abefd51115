"""The HTTP half of the fake server: those calls of the LiveKit server API that agenthost and its users make.

Twirp over protobuf, with the grants checked as the real server does. Anything else answers `bad_route`.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

import jwt
from aiohttp import web
from google.protobuf.message import DecodeError, Message
from livekit import api
from livekit.protocol import agent_dispatch, room

from agenthost.testing.rooms import NotFound, Rooms
from agenthost.testing.values import Faults

Handler = Callable[[Any, api.VideoGrants], Awaitable[Message]]
STATUS_OF = {"unauthenticated": 401, "not_found": 404, "malformed": 400, "bad_route": 404}


class Refused(Exception):
    """The call's token does not allow it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One method of the API: how to read its request and who answers it."""

    request: type[Message]
    handler: Handler


class ServerApi:
    """Answers `POST /twirp/livekit.<Service>/<Method>` from the given rooms."""

    def __init__(self, rooms: Rooms, *, api_key: str, api_secret: str, faults: Callable[[], Faults]) -> None:
        self._rooms = rooms
        self._faults = faults
        self._verifier = api.TokenVerifier(api_key, api_secret)
        self._calls: Mapping[str, Call] = {
            "AgentDispatchService/CreateDispatch": Call(
                request=agent_dispatch.CreateAgentDispatchRequest, handler=self._create_dispatch
            ),
            "AgentDispatchService/DeleteDispatch": Call(
                request=agent_dispatch.DeleteAgentDispatchRequest, handler=self._delete_dispatch
            ),
            "AgentDispatchService/ListDispatch": Call(
                request=agent_dispatch.ListAgentDispatchRequest, handler=self._list_dispatch
            ),
            "RoomService/CreateRoom": Call(request=room.CreateRoomRequest, handler=self._create_room),
            "RoomService/DeleteRoom": Call(request=room.DeleteRoomRequest, handler=self._delete_room),
            "RoomService/ListRooms": Call(request=room.ListRoomsRequest, handler=self._list_rooms),
            "RoomService/ListParticipants": Call(request=room.ListParticipantsRequest, handler=self._list_participants),
            "RoomService/RemoveParticipant": Call(
                request=room.RoomParticipantIdentity, handler=self._remove_participant
            ),
        }

    async def handle(self, request: web.Request) -> web.Response:
        """One call, from HTTP to HTTP."""
        response = await self._answer(request)
        response.headers["Date"] = formatdate(time.time() + self._faults().clock_offset, usegmt=True)
        return response

    async def _answer(self, request: web.Request) -> web.Response:
        method = f"{request.match_info['service']}/{request.match_info['method']}"
        failure = self._faults().fail_calls
        if failure is not None:
            return web.Response(status=failure)
        call = self._calls.get(method)
        if call is None:
            return _error("bad_route", f"no handler for {method}")
        message = call.request()
        try:
            message.ParseFromString(await request.read())
            answer = await call.handler(message, self._grants(request))
        except DecodeError as error:
            return _error("malformed", str(error))
        except Refused as error:
            return _error("unauthenticated", str(error))
        except NotFound as error:
            return _error("not_found", str(error))
        return web.Response(body=answer.SerializeToString(), content_type="application/protobuf")

    def _grants(self, request: web.Request) -> api.VideoGrants:
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        try:
            claims = self._verifier.verify(bearer)
        except jwt.InvalidTokenError as error:
            raise Refused(f"invalid token: {error}") from None
        return claims.video or api.VideoGrants()

    async def _create_dispatch(
        self, request: agent_dispatch.CreateAgentDispatchRequest, grants: api.VideoGrants
    ) -> Message:
        _require_admin(grants, request.room)
        return self._rooms.dispatch(self._rooms.create(request.room), request).info

    async def _delete_dispatch(
        self, request: agent_dispatch.DeleteAgentDispatchRequest, grants: api.VideoGrants
    ) -> Message:
        _require_admin(grants, request.room)
        return await self._rooms.delete_dispatch(request.room, request.dispatch_id)

    async def _list_dispatch(
        self, request: agent_dispatch.ListAgentDispatchRequest, grants: api.VideoGrants
    ) -> Message:
        _require_admin(grants, request.room)
        found = self._rooms.list_dispatches(request.room, request.dispatch_id)
        return agent_dispatch.ListAgentDispatchResponse(agent_dispatches=found)

    async def _create_room(self, request: room.CreateRoomRequest, grants: api.VideoGrants) -> Message:
        _require(grants.room_create, "roomCreate")
        names = [dispatch.agent_name for dispatch in request.agents] or [""]
        return self._rooms.create(request.name, metadata=request.metadata, agents=names).info

    async def _delete_room(self, request: room.DeleteRoomRequest, grants: api.VideoGrants) -> Message:
        _require(grants.room_create, "roomCreate")
        await self._rooms.delete(request.room)
        return room.DeleteRoomResponse()

    async def _list_rooms(self, request: room.ListRoomsRequest, grants: api.VideoGrants) -> Message:
        _require(grants.room_list, "roomList")
        wanted = set(request.names)
        found = [r.info for name, r in self._rooms.by_name.items() if not wanted or name in wanted]
        return room.ListRoomsResponse(rooms=found)

    async def _list_participants(self, request: room.ListParticipantsRequest, grants: api.VideoGrants) -> Message:
        _require_admin(grants, request.room)
        there = self._rooms.by_name.get(request.room)  # a missing room is no error here
        return room.ListParticipantsResponse(participants=there.participants.values() if there else ())

    async def _remove_participant(self, request: room.RoomParticipantIdentity, grants: api.VideoGrants) -> Message:
        _require_admin(grants, request.room)
        await self._rooms.leave(request.room, request.identity)
        return room.RemoveParticipantResponse()


def _require(granted: bool | None, grant: str) -> None:
    if not granted:
        raise Refused(f"permissions denied: {grant} is needed")


def _require_admin(grants: api.VideoGrants, room_name: str) -> None:
    _require(grants.room_admin and grants.room == room_name, f"roomAdmin of {room_name}")


def _error(code: str, message: str) -> web.Response:
    return web.json_response({"code": code, "msg": message}, status=STATUS_OF[code])
