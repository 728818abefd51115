"""What a LiveKit server may send to a worker, well-formed and odd, as bytes; and the tokens that belong to it."""

from collections.abc import Callable
from enum import Enum

from google.protobuf.message import Message
from hypothesis import strategies as st
from livekit import api
from livekit.protocol import agent, models

from agenthost.testing.livekit_server import FakeLiveKitServer

NEWER_ENUM = 77
"""No job type and no kind of participant has this number yet."""


class Oddity(Enum):
    """What is unusual about the job of an offer or an assignment; nothing of it is wrong."""

    NONE = "none"
    NEWER_TYPE = "a job type of a newer protocol"
    NEWER_KIND = "a participant of a newer kind"
    NEWER_FIELDS = "fields of a newer protocol, in the job and in its room"
    PARTICIPANT = "a participant, in a room job"
    EMPTY_PARTICIPANT = "a participant without anything"
    NO_ROOM = "no room"


class TokenKind(Enum):
    """What token comes with an assignment."""

    GOOD = "the server's"
    WRONG_ROOM = "the server's, for another room"
    FOREIGN = "signed by another key"
    NO_CLAIMS = "a token whose claims are no mapping"
    GARBAGE = "no token"
    EMPTY = "empty"


def field(number: int, payload: bytes) -> bytes:
    """A field of bytes, as protobuf writes it."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


UNKNOWN_FIELDS = field(90, b"from a newer protocol") + _varint(91 << 3) + _varint(2**63) + field(4000, b"\xff\x00")


def make_job(
    job_id: str, *, room: str, metadata: str = "", agent_name: str = "", odd: Oddity = Oddity.NONE
) -> agent.Job:
    job = agent.Job(id=job_id, metadata=metadata, agent_name=agent_name, dispatch_id=f"AD_{job_id}")
    if odd is not Oddity.NO_ROOM:
        job.room.CopyFrom(models.Room(name=room, sid=f"RM_{room}"))
    _ODD.get(odd, lambda job: None)(job)
    return job


def _newer_type(job: agent.Job) -> None:
    job.type = NEWER_ENUM  # type: ignore[assignment]


def _newer_kind(job: agent.Job) -> None:
    job.participant.identity = "someone"
    job.participant.kind = NEWER_ENUM  # type: ignore[assignment]


def _newer_fields(job: agent.Job) -> None:
    for part in (job, job.room, job.participant):
        _add(part, UNKNOWN_FIELDS)


def _participant(job: agent.Job) -> None:
    job.participant.identity = "someone"


def _empty_participant(job: agent.Job) -> None:
    job.participant.SetInParent()


def _add(message: Message, data: bytes) -> None:
    message.MergeFromString(data)


_ODD: dict[Oddity, Callable[[agent.Job], None]] = {
    Oddity.NEWER_TYPE: _newer_type,
    Oddity.NEWER_KIND: _newer_kind,
    Oddity.NEWER_FIELDS: _newer_fields,
    Oddity.PARTICIPANT: _participant,
    Oddity.EMPTY_PARTICIPANT: _empty_participant,
}


def availability(job: agent.Job) -> bytes:
    return agent.ServerMessage(availability=agent.AvailabilityRequest(job=job)).SerializeToString()


def assignment(job: agent.Job, token: str) -> bytes:
    return agent.ServerMessage(assignment=agent.JobAssignment(job=job, token=token)).SerializeToString()


def termination(job_id: str) -> bytes:
    return agent.ServerMessage(termination=agent.JobTermination(job_id=job_id)).SerializeToString()


def make_token(server: FakeLiveKitServer, job_id: str, room: str, kind: TokenKind = TokenKind.GOOD) -> str:
    match kind:
        case TokenKind.EMPTY:
            return ""
        case TokenKind.GARBAGE:
            return "no.to\u00ff.ken"
        case TokenKind.NO_CLAIMS:
            return "e30.W10.e30"
        case _:
            secret = (
                server.api_secret if kind is not TokenKind.FOREIGN else "another secret, as long as the server's is"
            )
            name = room if kind is not TokenKind.WRONG_ROOM else f"{room}-2"
            grants = api.VideoGrants(room_join=True, room=name, agent=True)
            token = api.AccessToken(server.api_key, secret).with_identity(f"agent-{job_id}").with_kind("agent")
            return token.with_grants(grants).to_jwt()


def _registered(worker_id: str) -> bytes:
    answer = agent.RegisterWorkerResponse(worker_id=worker_id)
    answer.server_info.version = "99.0.0"
    answer.server_info.protocol = 2**31 - 1
    return agent.ServerMessage(register=answer).SerializeToString()


def _pong(number: int, timestamp: int) -> bytes:
    pong = agent.WorkerPong(last_timestamp=number, timestamp=timestamp)
    return agent.ServerMessage(pong=pong).SerializeToString()


_integers = st.one_of(st.integers(0, 3), st.integers(-(2**63), 2**63 - 1))
_unknown_oneof = st.builds(field, st.integers(7, 2**20), st.binary(max_size=20))
_empty_parts = st.sampled_from([field(number, b"") for number in range(1, 7)])
"""Each message that there is, with nothing in it."""

messages_without_job = st.one_of(
    st.just(b""),
    st.builds(_pong, _integers, _integers),
    st.builds(_registered, st.sampled_from(["", "AW_other", "a" * 1000])),
    _unknown_oneof,
    _empty_parts,
    st.builds(lambda first, second: first + second, _empty_parts, _unknown_oneof),
)
"""Everything a server may say that is about no job of ours; a newer one's too."""

no_messages = st.sampled_from(
    [b"\xff", b"\xff\xfe this is no protobuf message \x00\xff", b"\x12\x7f", field(5, b"\x0a\x02\xc3\x28")]
)
"""Bytes that cannot be understood: the last holds a text that is no UTF-8."""
