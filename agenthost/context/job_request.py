"""`JobRequest`: one offer, as a request handler sees it. Runs in hook processes.

The rules have accepted the offer already; the handler confirms that, changes how the agent shall appear, or rejects.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agenthost.jobs import MAX_TOKEN_BYTES, Accept

if TYPE_CHECKING:
    from livekit.protocol.agent import Job
    from livekit.protocol.models import ParticipantInfo, Room


@dataclass(frozen=True, slots=True, kw_only=True)
class Appearance:
    """How the agent's participant shall look to others in the room."""

    identity: str
    name: str = ""
    metadata: str = field(default="", repr=False)
    attributes: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """`terminate`: no other worker shall be asked either."""

    terminate: bool


class JobRequest:
    """An offer to answer, once, with `accept` or `reject`; the answer leaves at once, the handler may go on."""

    def __init__(self, *, job: "Job", proposal: Appearance, answer: Callable[[Appearance | Rejection], None]) -> None:
        self._job = job
        self._proposal = proposal
        self._answer = answer
        self._answered = False

    @property
    def id(self) -> str:
        """The job's id, which the job will have if it is accepted."""
        return self._job.id

    @property
    def job(self) -> "Job":
        """The server's own message: id, dispatch_id, type, room, participant, metadata, agent_name, attributes …"""
        return self._job

    @property
    def room(self) -> "Room":
        """The room the agent is wanted in: name, sid, metadata, num_participants …"""
        return self._job.room

    @property
    def publisher(self) -> "ParticipantInfo | None":
        """The participant a publisher or participant job is about; None for room jobs."""
        return self._job.participant if self._job.HasField("participant") else None

    @property
    def agent_name(self) -> str:
        """The name the agent was asked for by; empty for automatic dispatch."""
        return self._job.agent_name

    @property
    def answered(self) -> bool:
        """Whether `accept` or `reject` was called."""
        return self._answered

    async def accept(
        self,
        *,
        name: str | None = None,
        identity: str | None = None,
        metadata: str | None = None,
        attributes: Mapping[str, str] | None = None,
    ) -> None:
        """Take the job. What is not given here is what the file says (`accept` of the rule or of `requests`).

        `identity` must be unique in the room; empty means not given. `attributes` replaces the file's as a whole.
        Half a surrogate pair in a text becomes U+FFFD. Raises TypeError or ValueError for what cannot be a
        participant's, RuntimeError for a second answer.
        """
        for key, text in {"name": name, "identity": identity, "metadata": metadata}.items():
            if text is not None and not isinstance(text, str):
                raise TypeError(f"accept({key}=…) must be a text, not {type(text).__name__}")
        if attributes is not None:
            _check_attributes(attributes)
        proposal = self._proposal
        appearance = Appearance(
            identity=identity or proposal.identity,
            name=proposal.name if name is None else name,
            metadata=proposal.metadata if metadata is None else metadata,
            attributes=proposal.attributes if attributes is None else dict(attributes),
        )
        _check_size(appearance)
        self._give(appearance)

    async def reject(self, *, terminate: bool = True) -> None:
        """Leave the job. `terminate` (default) ends it for good; False lets the server ask another worker."""
        self._give(Rejection(terminate=terminate))

    def _give(self, answer: Appearance | Rejection) -> None:
        if self._answered:
            raise RuntimeError("this job request was answered already: call accept() or reject() once")
        self._answered = True
        self._answer(answer)


def _check_size(appearance: Appearance) -> None:
    size = Accept(
        identity=appearance.identity,
        name=appearance.name,
        metadata=appearance.metadata,
        attributes=appearance.attributes,
    ).token_bytes
    if size > MAX_TOKEN_BYTES:
        raise ValueError(
            f"accept(…): nobody can join with {size} bytes of texts in the token; {MAX_TOKEN_BYTES} at most"
        )


def _check_attributes(attributes: Mapping[str, str]) -> None:
    for key, value in attributes.items():
        if not isinstance(key, str) or not isinstance(value, str):
            raise TypeError(f"accept(attributes=…): {key!r} must be a text with a text as its value")
        if key.startswith("lk."):
            raise ValueError(f"accept(attributes=…): `{key}` is reserved; names that begin with `lk.` are LiveKit's")
