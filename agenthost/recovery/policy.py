"""Which jobs are brought back, when, and when no more. Pure: times and randomness are passed in. Runs in the host.

Two questions: what to do about a job of this host that has ended (`restart_of`), and whether a dispatch that somebody
looked at is served by nobody (`unserved`, `Sightings`).
"""

from collections.abc import Collection, Sequence
from enum import Enum

from msgspec import Struct

from agenthost.config.model import Restart
from agenthost.jobs import JobOutcome, JobStatus
from agenthost.recovery.values import DispatchInfo, Member
from agenthost.restarts import restart_delay

ROOM_LOST = "room lost"
REJOIN = "its code was replaced"
"""Why the host stops a job that is to come back at once, as it was, on the code of a reload."""

_DIED = frozenset({"crashed", "killed"})
_FAILED_BEFORE = frozenset({"", "entrypoint failed", ROOM_LOST, "memory"})
"""What a job that died on its way out was leaving for: after any other reason it had done its work."""


class Again(Struct, frozen=True, kw_only=True):
    """Bring it back after `delay` seconds, as attempt number `attempt`; `needs_people`: only if somebody is there."""

    attempt: int
    delay: float
    needs_people: bool


class GiveUp(Struct, frozen=True, kw_only=True):
    """It failed, and was brought back as often as it may be."""

    attempts: int


def restart_of(
    outcome: JobOutcome, *, leaving: str, attempt: int, policy: Restart, jitter: float
) -> Again | GiveUp | None:
    """What follows a job's end; None: nothing, it had ended as it should, or failures are left alone.

    `leaving` is why it had begun to end by itself ("": it had not), `attempt` its own number, counted from 0.
    """
    if outcome.reason == REJOIN:
        return Again(attempt=attempt, delay=0.0, needs_people=False)
    if not policy.on_failure or not has_failed(outcome, leaving):
        return None
    if attempt >= policy.attempts:
        return GiveUp(attempts=attempt)
    return Again(
        attempt=attempt + 1,
        delay=restart_delay(attempt, policy.backoff, jitter),
        needs_people=outcome.reason == ROOM_LOST,
    )


def has_failed(outcome: JobOutcome, leaving: str) -> bool:
    """Whether the job's work was cut short. One that died after it had said goodbye had done it: bringing it back
    would have it talk to people it had taken leave of."""
    if outcome.status is JobStatus.SUCCESS:
        return False
    return outcome.reason not in _DIED or leaving in _FAILED_BEFORE


class Service(Enum):
    """What a look at a room says about one of its dispatches."""

    UNSERVED = "unserved"
    SERVED = "served"
    ENDED = "ended"
    NOBODY_THERE = "nobody there"


def service(dispatch: DispatchInfo, members: Sequence[Member]) -> Service:
    """Whether anybody serves a dispatch, by who is in its room. An agent of its name counts, whoever sent for it."""
    if dispatch.ended:
        return Service.ENDED
    if any(member.agent_name == dispatch.agent_name for member in members):
        return Service.SERVED
    if not any(member.is_person for member in members):
        return Service.NOBODY_THERE
    return Service.UNSERVED


class Patience(Struct, frozen=True, kw_only=True):
    """When an unserved dispatch is believed to be one: older than `age` seconds, in two looks `spacing` apart.

    The server lists jobs up to 5 s late, a dead agent's participant stays 20 s, and a living one may be away for as
    long as it takes to reconnect.
    """

    age: float = 30.0
    spacing: float = 25.0


class Sightings:
    """Which dispatches of which room were seen unserved, and since when. Times are monotonic seconds."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._first: dict[str, dict[str, float]] = {}

    def look(self, room: str, unserved: Collection[str], *, now: float) -> None:
        """A look at a room found these dispatches unserved, and no others."""
        before = self._first.pop(room, {})
        if unserved:
            self._first[room] = {key: before.get(key, now) for key in unserved}

    def is_certain(self, room: str, dispatch_id: str, *, now: float, age: float) -> bool:
        """Whether the looks so far are enough. `age` is the dispatch's own, in seconds, by the server's clock."""
        seen_for = now - self._first[room][dispatch_id]
        return seen_for >= self._patience.spacing and max(age, seen_for) >= self._patience.age

    def forget_before(self, moment: float) -> None:
        """Drop what was first seen before `moment`: its room is gone, or nobody here may serve it."""
        kept = {room: seen for room, seen in self._first.items() if max(seen.values()) >= moment}
        self._first = kept
