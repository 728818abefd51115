"""A call as its person tells it: who talked when, how long nobody did, and how it ended. Values that cross a pipe."""

import dataclasses
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime

GOODBYE = "goodbye"
GAVE_UP = "gave up"


@dataclass(kw_only=True)
class Call:
    """Times are in seconds since the epoch.

    silence  the longest time in which the person heard nobody, in seconds
    end      GOODBYE, GAVE_UP, or what broke on the person's own side
    ghosts   agents that came while the participant of another was still there
    voices   whom the person heard, in turns: an agent that is heard again after another one talks beside it
    notes    all that the person saw, with its times
    """

    room: str
    began: float
    silence: float = 0.0
    end: str = ""
    ghosts: int = 0
    voices: list[str] = field(default_factory=list)
    notes: list[tuple[float, str]] = field(default_factory=list)

    @property
    def is_served(self) -> bool:
        return self.end == GOODBYE

    @property
    def is_crowded(self) -> bool:
        """Whether two agents talked at a time."""
        return len(set(self.voices)) < len(self.voices)

    @property
    def is_broken(self) -> bool:
        """Whether the person could not call at all."""
        return self.end not in (GOODBYE, GAVE_UP)

    def to_line(self) -> str:
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_line(cls, line: str) -> "Call":
        return cls(**json.loads(line))


def clock(moment: float) -> str:
    """A time of the epoch as the hosts' logs write it."""
    return datetime.fromtimestamp(moment, UTC).strftime("%H:%M:%S.%f")[:-3]
