"""What the host asks the LiveKit server about its rooms, as values; nothing here acts. Runs in the host."""

from collections.abc import Mapping

from msgspec import Struct, field

from agenthost.jobs import JobType, Offer, RoomInfo
from agenthost.values import Discreet

ATTEMPT_ATTRIBUTE = "agenthost.attempt"
"""The attribute of a dispatch that counts how often it was made anew; without it: never."""

_PEOPLE = frozenset({"standard", "sip", "connector"})


class Member(Struct, frozen=True, kw_only=True):
    """A participant of a room. `kind` is lower case; `agent_name` is None for whoever is no agent of a dispatch."""

    identity: str
    kind: str = "standard"
    hidden: bool = False
    agent_name: str | None = None

    @property
    def is_person(self) -> bool:
        """Somebody an agent could be there for: on a client or a telephone, and not hidden."""
        return self.kind in _PEOPLE and not self.hidden


class DispatchInfo(Discreet, frozen=True, kw_only=True):
    """A dispatch as the server lists it. `created_at` is in seconds since the epoch, by the server's clock.

    `ended`: its offer was answered with "nobody shall serve it", the one end that the server remembers.
    """

    not_shown = frozenset({"metadata", "attributes"})

    id: str
    room: str
    agent_name: str
    deployment: str = ""
    metadata: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    created_at: float = 0.0
    ended: bool = False

    @property
    def attempt(self) -> int:
        return attempt_of(self.attributes)

    def offer(self, room: RoomInfo) -> Offer:
        """What the server would offer for it: for asking the rules."""
        return Offer(
            job_id=f"again-{self.id}",
            type=JobType.ROOM,
            room=room,
            dispatch_id=self.id,
            agent_name=self.agent_name,
            metadata=self.metadata,
            attributes=self.attributes,
            deployment=self.deployment,
        )


def attempt_of(attributes: Mapping[str, str]) -> int:
    """How often a job was brought back; 0 also for a count that is none, which only a user's own attribute can be."""
    text = attributes.get(ATTEMPT_ATTRIBUTE, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 6 else 0
