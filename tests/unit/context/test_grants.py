"""Which grant a refused call lacks, and where the file gives it."""

import sys

import pytest
from livekit import api
from livekit.api.access_token import Claims

from agenthost.context.grants import missing_grant
from agenthost.jobs import JOB_GRANTS

FILE = "/srv/agents/agenthost.yaml"
NOTHING = Claims(video=api.VideoGrants(room="mine"), sip=api.SIPGrants())
ALL = Claims(
    video=api.VideoGrants(
        room="mine", room_admin=True, room_create=True, room_list=True, room_record=True, ingress_admin=True
    ),
    sip=api.SIPGrants(admin=True, call=True),
)


@pytest.mark.parametrize(
    ("call", "grant"),
    [
        ("RoomService/CreateRoom", "room_create"),
        ("RoomService/ListRooms", "room_list"),
        ("RoomService/RemoveParticipant", "room_admin"),
        ("AgentDispatchService/CreateDispatch", "room_admin"),
        ("Egress/StartRoomCompositeEgress", "room_record"),
        ("Ingress/CreateIngress", "ingress_admin"),
        ("SIP/CreateSIPDispatchRule", "sip_admin"),
        ("SIP/CreateSIPParticipant", "sip_call"),
        ("Connector/DialWhatsAppCall", "room_create"),
    ],
)
def test_the_missing_grant_is_named_with_its_key(call: str, grant: str) -> None:
    """In the words of the file."""
    assert grant in JOB_GRANTS
    told = missing_grant(*call.split("/"), "mine", NOTHING, FILE)
    assert f"needs `{grant}`" in told
    assert told.endswith(f"write `livekit.job_grants: [{grant}]` in {FILE}")
    assert missing_grant(*call.split("/"), "mine", ALL, FILE) == ""


def test_what_is_to_be_written_keeps_what_the_token_has() -> None:
    """The list in the file replaces the default. Without a file it goes into the one to be."""
    claims = Claims(video=api.VideoGrants(room="mine", room_admin=True), sip=api.SIPGrants(call=True))
    told = missing_grant("RoomService", "ListRooms", "", claims, "")
    assert told.endswith("write `livekit.job_grants: [room_admin, sip_call, room_list]` in an agenthost.yaml")


def test_a_transfer_needs_the_room_as_well() -> None:
    """`sip_call` alone moves nobody."""
    claims = Claims(video=api.VideoGrants(room="mine"), sip=api.SIPGrants(call=True))
    assert "`room_admin`" in missing_grant("SIP", "TransferSIPParticipant", "mine", claims, FILE)


@pytest.mark.parametrize("call", ["RoomService/SendData", "AgentDispatchService/CreateDispatch"])
def test_no_grant_is_said_to_help_in_another_room(call: str) -> None:
    """A token has one room, and its name is nobody's business."""
    told = missing_grant(*call.split("/"), "other", ALL, FILE)
    assert "another room" in told and f"`livekit.secret_in_jobs: true` in {FILE}" in told and "job_grants" not in told
    assert "mine" not in told.split()


def test_moving_between_rooms_takes_the_pair() -> None:
    """Whatever the token has."""
    assert "livekit.secret_in_jobs" in missing_grant("RoomService", "MoveParticipant", "mine", ALL, FILE)


def test_every_service_of_the_client_is_known() -> None:
    """One that livekit-api adds is to be looked up in the server's source."""
    kinds = [value.fget.__annotations__["return"] for value in vars(api.LiveKitAPI).values() if hasattr(value, "fget")]
    services = {sys.modules[kind.__module__].SVC for kind in kinds}
    assert len(services) == 6
    assert all("needs" in missing_grant(service, "SomeMethod", "mine", NOTHING, FILE) for service in services)
