"""What a test learns from the fake server: frozen values, no sockets. Times are seconds of `time.monotonic()`.

On one machine that clock is the same in every process, so a job process may note its own times beside these.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from livekit.protocol import agent

from agenthost.jobs import JobStatus, JobType

WIRE_TYPES: Mapping[JobType, agent.JobType] = {
    JobType.ROOM: agent.JobType.JT_ROOM,
    JobType.PUBLISHER: agent.JobType.JT_PUBLISHER,
    JobType.PARTICIPANT: agent.JobType.JT_PARTICIPANT,
}
TYPES: Mapping[int, JobType] = {wire: ours for ours, wire in WIRE_TYPES.items()}
STATUSES: Mapping[int, JobStatus] = {
    agent.JobStatus.JS_RUNNING: JobStatus.RUNNING,
    agent.JobStatus.JS_SUCCESS: JobStatus.SUCCESS,
    agent.JobStatus.JS_FAILED: JobStatus.FAILED,
}


class OfferOutcome(Enum):
    """How an offer ended; but for the first, the job is without an agent for good, as on the real server."""

    ASSIGNED = "assigned"
    TERMINATED = "terminated"
    REJECTED = "rejected by all"
    UNANSWERED = "not answered in time"
    NO_WORKER = "no worker"
    LOST = "accepted and, by a fault, never assigned"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerAnswer:
    """What one worker answered to one offer, and when it was asked and answered."""

    worker_id: str
    available: bool
    terminate: bool
    identity: str
    name: str
    metadata: str = field(repr=False)
    attributes: Mapping[str, str] = field(repr=False)
    offered_at: float
    answered_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferResult:
    """One job from its offer to its assignment. `answers` are in the order in which workers were asked.

    `token` is the server's token for the job (before the host signs it again); empty unless ASSIGNED.
    """

    job_id: str
    room: str
    agent_name: str
    type: JobType
    outcome: OfferOutcome
    answers: tuple[WorkerAnswer, ...] = ()
    offered_at: float
    assigned_at: float | None = None
    worker_id: str = ""
    token: str = field(default="", repr=False)

    @property
    def assigned(self) -> bool:
        return self.outcome is OfferOutcome.ASSIGNED

    @property
    def answer(self) -> WorkerAnswer:
        """The answer that decided. Raises LookupError when nobody answered."""
        if not self.answers:
            raise LookupError(f"nobody answered the offer of {self.job_id}: {self.outcome.value}")
        return self.answers[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class StatusUpdate:
    """One `update_job` as it arrived. `heeded` is False where the real server ignores it (the job is not known)."""

    job_id: str
    status: JobStatus
    error: str
    at: float
    heeded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """One `update_worker` as it arrived."""

    available: bool
    load: float
    job_count: int
    draining: bool
    at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What goes wrong with every connection, or with every offer, from now on; by default nothing.

    refuse_with       HTTP status instead of a websocket (401, 403, 503 …)
    close             the websocket is accepted and closed at once
    silent            `register` is read and never answered
    garbage           `register` is answered with bytes that are no message
    register_delay    seconds before `register` is answered
    lose_assignments  a worker that accepts an offer hears nothing more of it
    assign_delay      seconds between the acceptance of an offer and its assignment
    forge_tokens      a job's token is signed with another secret, and grants more
    fail_calls        HTTP status of every call of the server API, instead of an answer
    clock_offset      seconds by which the clock of the server API is ahead
    """

    refuse_with: int | None = None
    close: bool = False
    silent: bool = False
    garbage: bool = False
    register_delay: float = 0.0
    lose_assignments: bool = False
    assign_delay: float = 0.0
    forge_tokens: bool = False
    fail_calls: int | None = None
    clock_offset: float = 0.0


def new_id(prefix: str) -> str:
    """A fresh id as the server writes them: `AJ_…` for a job, `RM_…` a room, `AD_…` a dispatch, `AW_…` a worker."""
    return f"{prefix}_{secrets.token_hex(6)}"
