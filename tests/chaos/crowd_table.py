"""How a crowd fared, as a table: one column for each side."""

import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.bench.subjects import PEER_VERSION
from tests.chaos.calls import Call


@dataclass(frozen=True, kw_only=True)
class Outcome:
    subject: str
    seed: int
    calls: Sequence[Call]
    harm: Counter[str]

    @property
    def lost(self) -> int:
        return sum(not call.is_served and not call.is_broken for call in self.calls)

    @property
    def crowded(self) -> int:
        """Calls in which two agents talked at a time."""
        return sum(call.is_crowded for call in self.calls)

    @property
    def broken(self) -> int:
        """Calls that failed on the person's own side: they say nothing about the hosts."""
        return sum(call.is_broken for call in self.calls)

    @property
    def ghosts(self) -> int:
        """Calls in which an agent came while the participant of a dead one was still there."""
        return sum(call.ghosts > 0 for call in self.calls)

    def silences(self) -> list[float]:
        """Of the calls in which a second agent or a later one said goodbye: how long nobody was heard, in seconds."""
        return [call.silence for call in self.calls if call.is_served and len(call.voices) > 1]

    def late(self) -> list[float]:
        """Of the calls whose first agent came late, over ten seconds: how late."""
        return [call.silence for call in self.calls if call.is_served and len(call.voices) == 1 and call.silence > 10]


def table(outcomes: Sequence[Outcome]) -> str:
    """Rows of Markdown."""
    rows: list[tuple[str, Callable[[Outcome], object]]] = [
        ("calls", lambda one: len(one.calls)),
        ("**lost**", lambda one: f"**{one.lost}**"),
        ("two agents talking at a time", lambda one: one.crowded),
        ("a dead agent's participant still there when the next came", lambda one: one.ghosts),
        ("agent died, another took over", lambda one: len(one.silences())),
        ("… seconds without an agent, median / most", lambda one: _seconds(one.silences())),
        ("first agent more than 10 s late", lambda one: len(one.late())),
        ("… seconds without an agent, median / most", lambda one: _seconds(one.late())),
        ("calls that failed on the person's own side", lambda one: one.broken),
    ]
    kinds = sorted(set().union(*(one.harm for one in outcomes)))
    rows += [(kind, lambda one, kind=kind: one.harm[kind]) for kind in kinds]
    names = [f"{one.subject} {PEER_VERSION}" if one.subject == "livekit-agents" else one.subject for one in outcomes]
    lines = [f"| seed {outcomes[0].seed} | {' | '.join(names)} |", "|---|" + "---:|" * len(outcomes)]
    return "\n".join([*lines, *(f"| {name} | {' | '.join(str(of(one)) for one in outcomes)} |" for name, of in rows)])


def _seconds(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f} / {max(values):.1f}" if values else "–"
