"""What is to be done about a running job, seen from its times: pure, asked once a second for each job.

The design's end-of-a-job table, the rows that the host decides: `limits.connect` warns, five silent seconds dump the
stacks, `limits.unresponsive` kills, `limits.max_duration` and `limits.empty_room` end the job politely.
"""

from enum import Enum

from msgspec import Struct

from agenthost.config.model import Limits

SILENT_SECONDS = 5.0
"""A loop that has been blocked this long is worth a look at its stacks; the job itself goes on."""


class Concern(Enum):
    NOT_CONNECTED = "not connected"
    SILENT = "silent"
    UNRESPONSIVE = "unresponsive"
    MAX_DURATION = "max_duration"
    EMPTY_ROOM = "empty_room"


class JobTimes(Struct, kw_only=True):
    """Monotonic seconds. `alone_since` is when the last person left (or the job joined an empty room)."""

    started: float
    heard: float
    connected: float | None = None
    alone_since: float | None = None

    def people(self, count: int, now: float) -> None:
        """The job said how many participants that are no agents share its room."""
        if self.connected is None or count > 0:
            self.alone_since = None
        elif self.alone_since is None:
            self.alone_since = now


def concerns(times: JobTimes, limits: Limits, now: float) -> list[Concern]:
    """Everything that holds now; the caller acts on each once."""
    found = []
    if times.connected is None and now - times.started >= limits.connect:
        found.append(Concern.NOT_CONNECTED)
    if now - times.heard >= SILENT_SECONDS:
        found.append(Concern.SILENT)
    if now - times.heard >= limits.unresponsive:
        found.append(Concern.UNRESPONSIVE)
    if limits.max_duration is not None and now - times.started >= limits.max_duration:
        found.append(Concern.MAX_DURATION)
    if limits.empty_room is not None and times.alone_since is not None and now - times.alone_since >= limits.empty_room:
        found.append(Concern.EMPTY_ROOM)
    return found
