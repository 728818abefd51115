"""The worker protocol's bytes to our values and back; the only module of the host that imports livekit.protocol.

Source of the messages: `livekit_agent.proto` of livekit/protocol. What a server says that we do not know is
`Ignored`, never an error: a newer server must not end a host. Bytes that are no message at all are `Unreadable`.

Every text can be said: what UTF-8 cannot hold is replaced (`texts.encodable`), and the log says so, once an hour for
each key; so it does for what a server with the usual limits will not let a participant join with.
"""

from google.protobuf.message import DecodeError
from livekit.protocol import agent, models
from msgspec import Struct

from agenthost.enum_names import enum_name
from agenthost.jobs import Accept, JobStatus, JobType, Offer, ParticipantInfo, Reject, RoomInfo
from agenthost.logs.events import get_logger
from agenthost.logs.seldom import Seldom
from agenthost.texts import cut, encodable
from agenthost.values import Discreet

MAX_ERROR = 8 * 1024
"""Characters of an error on the wire; the server writes it into its own log, and newer ones read 2 MiB a message."""

USUAL_LIMITS = {"identity": 256, "metadata": 512 * 1024, "attributes": 64 * 1024}
"""What livekit-server 1.13.5 takes in bytes when somebody joins, unless its `limit` section says otherwise.

Over it the join is refused: with the reason for an identity, else with a bare HTTP 500. A name has no limit then.
"""

_log = get_logger("dispatch")
_seldom = Seldom()

_TYPES = {
    JobType.ROOM: agent.JobType.JT_ROOM,
    JobType.PUBLISHER: agent.JobType.JT_PUBLISHER,
    JobType.PARTICIPANT: agent.JobType.JT_PARTICIPANT,
}
_TYPE_OF = {value: key for key, value in _TYPES.items()}
_STATUSES = {
    JobStatus.RUNNING: agent.JobStatus.JS_RUNNING,
    JobStatus.SUCCESS: agent.JobStatus.JS_SUCCESS,
    JobStatus.FAILED: agent.JobStatus.JS_FAILED,
}


class Registered(Struct, frozen=True, kw_only=True):
    """The server's answer to `register`."""

    worker_id: str
    server_version: str
    node_id: str


class Assigned(Discreet, frozen=True, kw_only=True):
    """The server gave us the job; `url` is empty when the worker's own URL holds."""

    not_shown = frozenset({"token"})

    offer: Offer
    token: str
    url: str


class Terminated(Struct, frozen=True, kw_only=True):
    """The server ended the job; it never says why."""

    job_id: str


class Pong(Struct, frozen=True, kw_only=True):
    """The answer to our ping of that `number`."""

    number: int


class Ignored(Struct, frozen=True, kw_only=True):
    """A message of a kind this host does not know (`kind` names it)."""

    kind: str


class Unreadable(Struct, frozen=True, kw_only=True):
    """A frame that this host can make nothing of; `error` goes on after "the server sent"."""

    error: str


class Undecoded(Struct, frozen=True, kw_only=True):
    """A message that this host should have understood: `error` is its own fault."""

    error: Exception


ServerEvent = Registered | Offer | Assigned | Terminated | Pong | Ignored | Unreadable | Undecoded


def decode(data: bytes) -> ServerEvent:
    """One binary frame of the server."""
    message = agent.ServerMessage()
    try:
        message.ParseFromString(data)
    except DecodeError:
        return Unreadable(error="what is not a LiveKit server message")
    match message.WhichOneof("message"):
        case "register":
            info = message.register.server_info
            return Registered(worker_id=message.register.worker_id, server_version=info.version, node_id=info.node_id)
        case "availability":
            return _offer(message.availability.job)
        case "assignment":
            given = message.assignment
            return Assigned(offer=_offer(given.job), token=given.token, url=given.url)
        case "termination":
            return Terminated(job_id=message.termination.job_id)
        case "pong":
            return Pong(number=message.pong.last_timestamp)
        case other:
            return Ignored(kind=other or "empty")


def register(*, agent_name: str, job_type: JobType, deployment: str, version: str) -> bytes:
    """The first message on a socket. Permissions are left out: they are applied by signing each job's token."""
    message = agent.WorkerMessage()
    message.register.type = _TYPES[job_type]
    message.register.agent_name = _fit("agent_name", agent_name)
    message.register.version = version
    if deployment:
        message.register.deployment = _fit("deployment", deployment)
    return message.SerializeToString()


def answer(job_id: str, decision: Accept | Reject) -> bytes:
    """The answer to an offer."""
    message = agent.WorkerMessage()
    reply = message.availability
    reply.job_id = job_id
    match decision:
        case Accept():
            _tell(job_id, decision)
            reply.available = True
            reply.participant_identity = decision.identity
            reply.participant_name = decision.name
            reply.participant_metadata = decision.metadata
            reply.participant_attributes.update(decision.attributes)
        case Reject():
            reply.available = False
            reply.terminate = decision.terminate
    return message.SerializeToString()


def worker_status(*, full: bool, load: float, jobs: int) -> bytes:
    """How full this worker is; the server offers nothing to one that is full or reports a load of 0.7 or more."""
    message = agent.WorkerMessage()
    update = message.update_worker
    update.status = agent.WorkerStatus.WS_FULL if full else agent.WorkerStatus.WS_AVAILABLE
    update.load = load
    update.job_count = jobs
    return message.SerializeToString()


def job_status(job_id: str, status: JobStatus, error: str) -> bytes:
    """What became of a job. `error` is empty but for FAILED."""
    message = agent.WorkerMessage()
    message.update_job.job_id = job_id
    message.update_job.status = _STATUSES[status]
    message.update_job.error = _fit("error", cut(error, MAX_ERROR), job_id=job_id)
    return message.SerializeToString()


def ping(number: int) -> bytes:
    """The server sends `number` back; meant for a time, it may be anything."""
    message = agent.WorkerMessage()
    message.ping.timestamp = number
    return message.SerializeToString()


def simulate_job(job_type: JobType, room: str, participant: str = "") -> bytes:
    """Ask the server to offer this very worker a job in `room`, without a dispatch."""
    message = agent.WorkerMessage()
    message.simulate_job.type = _TYPES[job_type]
    message.simulate_job.room.name = _fit("room", room)
    if participant:
        message.simulate_job.participant.identity = _fit("participant", participant)
    return message.SerializeToString()


def _fit(key: str, text: str, **fields: object) -> str:
    fit = encodable(text)
    if fit != text:
        _say_replaced(key, **fields)
    return fit


def _tell(job_id: str, accept: Accept) -> None:
    """What of an answer was replaced when it was made, and what the server may refuse it for."""
    for key in accept.mended:
        _say_replaced(key, job_id=job_id)
    attributes = "".join(key + value for key, value in accept.attributes.items())
    texts = {"identity": accept.identity, "metadata": accept.metadata, "attributes": attributes}
    for key, limit in USUAL_LIMITS.items():
        size = len(texts[key].encode())
        if size > limit and _seldom(("long", key)):
            _log.warning("text over the server's usual limit", key=key, bytes=size, usual_limit=limit, job_id=job_id)


def _say_replaced(key: str, **fields: object) -> None:
    if _seldom(("replaced", key)):
        _log.bind(**fields).warning("text replaced", key=key, reason="half of a surrogate pair, which UTF-8 cannot say")


def _offer(job: agent.Job) -> Offer:
    return Offer(
        job_id=job.id,
        type=_TYPE_OF.get(job.type, JobType.ROOM),
        room=RoomInfo(
            name=job.room.name,
            sid=job.room.sid,
            metadata=job.room.metadata,
            num_participants=job.room.num_participants,
            max_participants=job.room.max_participants,
            created_at=job.room.creation_time_ms / 1000 or float(job.room.creation_time),
        ),
        participant=_participant(job.participant) if job.HasField("participant") else None,
        dispatch_id=job.dispatch_id,
        agent_name=job.agent_name,
        metadata=job.metadata,
        attributes=dict(job.attributes),
        deployment=job.deployment,
        encoded=job.SerializeToString(),
    )


def _participant(info: models.ParticipantInfo) -> ParticipantInfo:
    return ParticipantInfo(
        identity=info.identity,
        sid=info.sid,
        name=info.name,
        kind=enum_name(models.ParticipantInfo.Kind, info.kind),
        metadata=info.metadata,
        attributes=dict(info.attributes),
    )
