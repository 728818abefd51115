"""What the host counts while it runs: plain integers, so that counting costs nothing and imports nothing.

Runs in the host, on its event loop. Gauges are not kept at all: they come from `HostStatus` when somebody asks
(endpoints/exposition.py).
"""

from collections import Counter
from enum import Enum

from msgspec import Struct

RECOVERY_CAUSES = ("restart", "recovery")


class InternalPart(Enum):
    """What of the host failed inside: the label of its count."""

    OFFER = "offer"
    MESSAGE = "message"
    CONNECTION = "connection"
    JOB = "job"
    RECOVERY = "recovery"
    HTTP = "http"
    CONTROL = "control"
    TASK = "task"
    EVENT_LOOP = "event loop"


class JobCount(Struct, frozen=True, kw_only=True):
    """How many jobs of an agent ended with this outcome."""

    agent: str
    outcome: str
    count: int


class OfferCount(Struct, frozen=True, kw_only=True):
    """How many offers got this answer; `answer` is accept, reject or terminate, `reason` the constant of the reject."""

    agent: str
    answer: str
    reason: str
    count: int


class RecoveryCount(Struct, frozen=True, kw_only=True):
    """How many dispatches of an agent were made anew, for this cause: restart or recovery."""

    agent: str
    cause: str
    count: int


class Metrics:
    """The counters of one host, from its start."""

    def __init__(self) -> None:
        self._jobs: Counter[tuple[str, str]] = Counter()
        self._offers: Counter[tuple[str, str, str]] = Counter()
        self._again: Counter[tuple[str, str]] = Counter()
        self._given_up: Counter[str] = Counter()
        self._internal: Counter[InternalPart] = Counter()

    def job_ended(self, agent: str, *, outcome: str) -> None:
        """A job of `agent` (its id) has ended; `outcome` is a value of `jobs.OutcomeKind`."""
        self._jobs[agent, outcome] += 1

    def offer_answered(self, agent: str, *, answer: str, reason: str = "") -> None:
        """An offer was answered. `reason` is one of a few constants, never a text of the user or the server."""
        self._offers[agent, answer, reason] += 1

    def dispatched_again(self, agent: str, *, cause: str) -> None:
        """A dispatch was deleted and made anew: `cause` is one of RECOVERY_CAUSES."""
        self._again[agent, cause] += 1

    def given_up(self, agent: str) -> None:
        """A job was brought back as often as it may be, and failed again."""
        self._given_up[agent] += 1

    def internal_error(self, part: InternalPart) -> None:
        """Something of the host itself failed, and was contained."""
        self._internal[part] += 1

    def jobs(self) -> tuple[JobCount, ...]:
        """All counts of jobs that are not 0."""
        return tuple(JobCount(agent=agent, outcome=kind, count=n) for (agent, kind), n in self._jobs.items())

    def offers(self) -> tuple[OfferCount, ...]:
        """All counts of offers that are not 0."""
        return tuple(
            OfferCount(agent=agent, answer=answer, reason=reason, count=n)
            for (agent, answer, reason), n in self._offers.items()
        )

    def recoveries(self) -> tuple[RecoveryCount, ...]:
        """All counts of dispatches made anew that are not 0."""
        return tuple(RecoveryCount(agent=agent, cause=cause, count=n) for (agent, cause), n in self._again.items())

    def jobs_given_up(self, agent: str) -> int:
        return self._given_up[agent]

    def internal_errors(self, part: InternalPart) -> int:
        return self._internal[part]
