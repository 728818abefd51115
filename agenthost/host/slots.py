"""Who holds a slot: jobs from the moment before they are accepted until their process is gone. Pure bookkeeping.

A slot is counted against the host and against the agent whose code runs. It is taken before anything is awaited, so
`max_jobs: 1` under fifty offers in a millisecond accepts exactly one.
"""

from collections import Counter

from msgspec import Struct


class Slot(Struct, frozen=True, kw_only=True):
    """`agent` runs the code, `receiver` is the agent whose registration was asked."""

    job_id: str
    agent: str
    receiver: str
    room: str
    dispatch_id: str = ""


class Slots:
    """All slots of one host."""

    def __init__(self) -> None:
        self._held: dict[str, Slot] = {}
        # Asked for several times an offer, so counted and not looked for: an offer costs the same among 500 jobs.
        self._agents: Counter[str] = Counter()
        self._receivers: Counter[str] = Counter()
        self._rooms: Counter[tuple[str, str]] = Counter()

    def take(self, slot: Slot, *, host_limit: int | None, agent_limit: int | None) -> bool:
        """False when a limit is reached or the job has a slot already."""
        if slot.job_id in self._held or not self.has_room(slot.agent, host_limit=host_limit, agent_limit=agent_limit):
            return False
        self._held[slot.job_id] = slot
        self._count(slot, 1)
        return True

    def has_room(self, agent: str, *, host_limit: int | None, agent_limit: int | None) -> bool:
        """Whether another job of this agent's code would be under both limits."""
        if host_limit is not None and len(self._held) >= host_limit:
            return False
        return agent_limit is None or self.used_by(agent) < agent_limit

    def free(self, job_id: str) -> None:
        slot = self._held.pop(job_id, None)
        if slot is not None:
            self._count(slot, -1)

    @property
    def used(self) -> int:
        return len(self._held)

    def used_by(self, agent: str) -> int:
        """How many jobs run this agent's code."""
        return self._agents[agent]

    def used_for(self, receiver: str) -> int:
        """How many jobs came in through this agent's registration."""
        return self._receivers[receiver]

    def serves(self, receiver: str, room: str) -> bool:
        """Whether this receiver already has a job in the room."""
        return (receiver, room) in self._rooms

    def serves_dispatch(self, dispatch_id: str) -> bool:
        """Whether a job of this dispatch is here."""
        return any(slot.dispatch_id == dispatch_id for slot in self._held.values())

    def _count(self, slot: Slot, change: int) -> None:
        self._agents[slot.agent] += change
        self._receivers[slot.receiver] += change
        place = (slot.receiver, slot.room)
        self._rooms[place] += change
        if not self._rooms[place]:
            del self._rooms[place]  # there are always new rooms
