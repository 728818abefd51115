"""Values that describe jobs on their way through the host, and nothing that acts.

An `Offer` is what the LiveKit server asks ("availability"); a `Decision` is the rules' answer to it, an
`Answer` what goes back over the wire; an assignment makes it a job; a `JobOutcome` ends it.
"""

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from msgspec import Struct, json
from msgspec.structs import force_setattr

from agenthost.texts import encodable, mended_texts
from agenthost.values import Discreet

EMPTY: Mapping[str, str] = MappingProxyType({})

JOB_GRANTS = ("room_admin", "room_create", "room_list", "room_record", "ingress_admin", "sip_admin", "sip_call")
"""Those that the server API asks for; the other grants of LiveKit are for who joins a room."""


class JobType(Enum):
    """What the server makes one job of: a room, a publishing participant, or any participant."""

    ROOM = "room"
    PUBLISHER = "publisher"
    PARTICIPANT = "participant"


class RoomInfo(Struct, frozen=True, kw_only=True):
    """The room of an offer. `created_at` is in seconds since the epoch, 0 where the server did not say."""

    name: str
    sid: str = ""
    metadata: str = ""
    num_participants: int = 0
    max_participants: int = 0
    created_at: float = 0.0


class ParticipantInfo(Struct, frozen=True, kw_only=True):
    """The participant of a publisher or participant job; room jobs have none. `kind` is lower case: standard, sip …"""

    identity: str
    sid: str = ""
    name: str = ""
    kind: str = "standard"
    metadata: str = ""
    attributes: Mapping[str, str] = EMPTY


class Offer(Discreet, frozen=True, kw_only=True):
    """One job request of the server, before the answer.

    `encoded` is the server's own protobuf message, handed unread to the job process.
    """

    not_shown = frozenset({"encoded"})

    job_id: str
    type: JobType
    room: RoomInfo
    participant: ParticipantInfo | None = None
    dispatch_id: str = ""
    agent_name: str = ""
    metadata: str = ""
    attributes: Mapping[str, str] = EMPTY
    deployment: str = ""
    encoded: bytes = b""


class ActiveJob(Discreet, frozen=True, kw_only=True):
    """An accepted job, and how; `job` is the server's own message. What a load function may look at."""

    not_shown = frozenset({"job", "metadata", "attributes"})

    job: bytes
    identity: str
    name: str
    metadata: str
    attributes: Mapping[str, str]


MAX_TOKEN_BYTES = 1024 * 1024 - 8 * 1024
"""A participant joins with its texts in a token in a header, and livekit-server, a Go program, reads 1 MiB of headers
(`http.DefaultMaxHeaderBytes`); the rest is for what else is there. Its own limits are lower, and its operator's to set.
"""


class Accept(Struct, frozen=True, kw_only=True):
    """How the agent's participant shall appear in the room.

    Its texts are `encodable` from the start, so that the server, the job and who looks for its participant later have
    the same ones. `mended` are those that were not: `name`, `attributes.NAME` …
    """

    identity: str
    name: str = ""
    metadata: str = ""
    attributes: Mapping[str, str] = EMPTY
    mended: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        pairs = {f"attributes.{key}": key + value for key, value in self.attributes.items()}
        mended = mended_texts({"identity": self.identity, "name": self.name, "metadata": self.metadata, **pairs})
        if mended:
            force_setattr(self, "identity", encodable(self.identity))
            force_setattr(self, "name", encodable(self.name))
            force_setattr(self, "metadata", encodable(self.metadata))
            force_setattr(self, "attributes", {encodable(k): encodable(v) for k, v in self.attributes.items()})
            force_setattr(self, "mended", (*self.mended, *map(encodable, mended)))

    @property
    def token_bytes(self) -> int:
        """What the texts take in a join token: JSON, in base64. Over MAX_TOKEN_BYTES nobody can join with them."""
        return len(json.encode((self.identity, self.name, self.metadata, dict(self.attributes)))) * 4 // 3


class Reject(Struct, frozen=True, kw_only=True):
    """`terminate`: no other worker shall be asked either. `reason` is a short constant for log and metrics."""

    reason: str
    terminate: bool = False
    detail: str = ""


class DispatchTimes(Struct, frozen=True, kw_only=True):
    """When an offer came, was accepted, and was assigned, in seconds since the epoch; 0.0 is unknown."""

    received: float = 0.0
    accepted: float = 0.0
    assigned: float = 0.0


class JobStatus(Enum):
    """The three statuses that a worker reports on the wire."""

    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"


class OutcomeKind(Enum):
    """How a job ended; only SUCCEEDED and STOPPED are successes on the wire."""

    SUCCEEDED = "succeeded"
    STOPPED = "stopped"
    FAILED = "failed"
    CRASHED = "crashed"
    TIMED_OUT = "timed out"


class JobOutcome(Struct, frozen=True, kw_only=True):
    """The end of a job. `reason` is a short phrase (`room closed`), `error` the text the server is told.

    `error` is empty exactly when the job was a success on the wire.
    """

    kind: OutcomeKind
    reason: str
    error: str = ""

    @property
    def status(self) -> JobStatus:
        ok = self.kind in (OutcomeKind.SUCCEEDED, OutcomeKind.STOPPED)
        return JobStatus.SUCCESS if ok else JobStatus.FAILED
