"""When a job's memory is worth a warning, and when it is too much. One `MemoryWatch` for each job, in the host.

`judge` is pure; `look` asks the kernel: every 5 s, and at once when the job may be near its limit. Measured is private
memory: what ends with the job, without what it shares with its template.
"""

import os
from enum import Enum
from pathlib import Path

from msgspec import Struct

from agenthost import kernel

LOOK_SECONDS = 5.0

NEAR = 0.7
"""Of its limit: who may have so much is measured whenever the host asks, which it does once a second."""

FAR = 1.5
"""Of its limit: who has more than that gets no time to end."""

GROWTH = 0.1
"""Of its limit: who has so much more than when it was asked to end gets no more time."""

GROWTH_BYTES = 50_000_000
"""After the first warning, the next one comes when the job has grown by this much: a leak is told, a plateau is not."""


class MemoryVerdict(Enum):
    """OK: nothing to say (again). WARN: say it now. STOP: the job is over its limit, and shall end. The others: so much
    that it shall not have the time for it."""

    OK = "ok"
    WARN = "warn"
    STOP = "stop"
    FAR_OVER = "over it by half"
    GROWING = "still growing when it had been asked to end"

    @property
    def kills(self) -> bool:
        return self in (MemoryVerdict.FAR_OVER, MemoryVerdict.GROWING)


class MemoryReport(Struct, frozen=True, kw_only=True):
    """A measurement that calls for something. `used` is the private memory in bytes; `verdict` is never OK."""

    used: int
    verdict: MemoryVerdict

    @property
    def over_limit(self) -> bool:
        return self.verdict is MemoryVerdict.STOP or self.verdict.kills


class MemoryWatch:
    """`warn_bytes` and `limit_bytes` of private memory; None: no such threshold. Exactly as much is still within."""

    def __init__(self, warn_bytes: int | None, limit_bytes: int | None) -> None:
        self._limit_bytes = limit_bytes
        self._warn_above = warn_bytes
        self._stopped_at: int | None = None
        self._next_look: float | None = None
        self._private, self._resident = 0, 0

    def judge(self, used: int) -> MemoryVerdict:
        """What `used` bytes call for. STOP once; WARN once for each step of growth."""
        if self._limit_bytes is not None and used > self._limit_bytes:
            return self._judge_over(used, self._limit_bytes)
        if self._warn_above is not None and used > self._warn_above:
            self._warn_above = used + GROWTH_BYTES - 1
            return MemoryVerdict.WARN
        return MemoryVerdict.OK

    def _judge_over(self, used: int, limit: int) -> MemoryVerdict:
        if used > FAR * limit:
            return MemoryVerdict.FAR_OVER
        if self._stopped_at is None:
            self._stopped_at = used
            return MemoryVerdict.STOP
        return MemoryVerdict.GROWING if used > self._stopped_at + GROWTH * limit else MemoryVerdict.OK

    def look(self, pid: int | None, now: float) -> MemoryReport | None:
        """Measure process `pid` if it is time. None: not yet, nothing to say, or it is gone.

        `now` is in seconds of a clock that never goes back.
        """
        if pid is None:
            return None
        resident = _resident_memory(pid)
        if not self._is_due(resident, now):
            return None
        self._next_look = now + LOOK_SECONDS
        used = kernel.private_memory(pid) if self._worth_measuring(resident) else None
        if used is None:
            return None
        self._private, self._resident = used, resident or 0
        verdict = self.judge(used)
        return None if verdict is MemoryVerdict.OK else MemoryReport(used=used, verdict=verdict)

    def _is_due(self, resident: int | None, now: float) -> bool:
        """After 5 s, or when as much more as is resident since the last time would bring it near its limit."""
        if self._next_look is None or now >= self._next_look:
            return True
        grown = 0 if resident is None else max(0, resident - self._resident)
        return self._limit_bytes is not None and self._private + grown > NEAR * self._limit_bytes

    def _worth_measuring(self, resident: int | None) -> bool:
        """Private memory takes the kernel milliseconds (it walks the pages), resident memory, which is never less,
        microseconds. Half of the threshold is left for error: the kernel's count of resident pages is approximate."""
        thresholds = [bytes_ for bytes_ in (self._warn_above, self._limit_bytes) if bytes_ is not None]
        if not thresholds:
            return False
        return resident is None or resident >= min(thresholds) / 2


def _resident_memory(pid: int) -> int | None:
    """Bytes of memory that the process has in use, shared ones included; None where the system does not tell."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
