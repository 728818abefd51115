"""Which grant a call of the server API needs, and what to say where a job's token lacks it. Pure.

As livekit-server 1.13.5 checks them: `Ensure…Permission` of pkg/service/auth.go and who calls them there.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from agenthost.jobs import JOB_GRANTS

if TYPE_CHECKING:
    from livekit.api.access_token import Claims

ROOM_ADMIN = "room_admin"
_TWO_ROOMS = frozenset({"RoomService/ForwardParticipant", "RoomService/MoveParticipant"})
_BY_METHOD: Mapping[str, str] = {
    "RoomService/CreateRoom": "room_create",
    "RoomService/DeleteRoom": "room_create",
    "RoomService/ListRooms": "room_list",
    "SIP/CreateSIPParticipant": "sip_call",
    "SIP/TransferSIPParticipant": "sip_call",
}
_BY_SERVICE: Mapping[str, str] = {
    "AgentDispatchService": ROOM_ADMIN,
    "Connector": "room_create",
    "Egress": "room_record",
    "Ingress": "ingress_admin",
    "RoomService": ROOM_ADMIN,
    "SIP": "sip_admin",
}
_OF_THE_ROOM = frozenset({"SIP/TransferSIPParticipant"})
"""What asks for `room_admin` besides."""


def missing_grant(service: str, method: str, room: str, claims: "Claims", file: str) -> str:
    """Why a call on a token with `claims` was refused, and what to write; "" where the token has what it takes.

    `room` is the one that the request names; `file` the one to write it in, "" where there is none yet.
    """
    place = f"in {file or 'an agenthost.yaml'}"
    call = f"{service}/{method}"
    needed = _BY_METHOD.get(call) or _BY_SERVICE.get(service)
    if call in _TWO_ROOMS:
        return f"{method} needs a token for both rooms, and a job's is for its own: {_RAW_PAIR.format(place=place)}"
    if needed is None:
        return ""
    for grant in (needed, ROOM_ADMIN) if call in _OF_THE_ROOM else (needed,):
        if not _has(claims, grant):
            wanted = ", ".join([*(name for name in JOB_GRANTS if _has(claims, name)), grant])
            return (
                f"{method} needs `{grant}`, which the job's token does not have: "
                f"write `livekit.job_grants: [{wanted}]` {place}"
            )
        if grant == ROOM_ADMIN and claims.video is not None and claims.video.room != room:
            return f"{method} names another room, and a job's token is for its own: {_instead(service, place)}"
    return ""


_RAW_PAIR = "with `livekit.secret_in_jobs: true` {place} the job can sign for any room"


def _instead(service: str, place: str) -> str:
    dispatched = "a new room can be created with its agents (`create_room`, `agents=[…]`), and "
    return (dispatched if service == "AgentDispatchService" else "") + _RAW_PAIR.format(place=place)


def _has(claims: "Claims", grant: str) -> bool:
    section, name = (claims.sip, grant.removeprefix("sip_")) if grant.startswith("sip_") else (claims.video, grant)
    return bool(getattr(section, name, False))
