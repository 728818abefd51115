"""When a job's memory is worth a warning, and when it is too much. One `MemoryWatch` for each job, in the host.

`judge` is pure; `look` asks the kernel, every 5 s at most. Measured is private memory: what ends with the job, without
what it shares with its template.
"""

import os
from enum import Enum
from pathlib import Path

from msgspec import Struct

from agenthost import kernel

LOOK_SECONDS = 5.0

GROWTH_BYTES = 50_000_000
"""After the first warning, the next one comes when the job has grown by this much: a leak is told, a plateau is not."""


class MemoryVerdict(Enum):
    """OK: nothing to say (again). WARN: say it now. STOP: the job is over its limit."""

    OK = "ok"
    WARN = "warn"
    STOP = "stop"


class MemoryReport(Struct, frozen=True, kw_only=True):
    """A measurement that calls for something. `used` is the private memory in bytes; `verdict` is WARN or STOP."""

    used: int
    verdict: MemoryVerdict

    @property
    def over_limit(self) -> bool:
        return self.verdict is MemoryVerdict.STOP


class MemoryWatch:
    """`warn_bytes` and `limit_bytes` of private memory; None: no such threshold. Exactly as much is still within."""

    def __init__(self, warn_bytes: int | None, limit_bytes: int | None) -> None:
        self._limit_bytes = limit_bytes
        self._warn_above = warn_bytes
        self._next_look: float | None = None

    def judge(self, used: int) -> MemoryVerdict:
        """What `used` bytes call for. STOP as long as it is over the limit; WARN once for each step of growth."""
        if self._limit_bytes is not None and used > self._limit_bytes:
            return MemoryVerdict.STOP
        if self._warn_above is not None and used > self._warn_above:
            self._warn_above = used + GROWTH_BYTES - 1
            return MemoryVerdict.WARN
        return MemoryVerdict.OK

    def look(self, pid: int | None, now: float) -> MemoryReport | None:
        """Measure process `pid` if 5 s have passed since the last time. None: not yet, nothing to say, or it is gone.

        `now` is in seconds of a clock that never goes back.
        """
        if pid is None or (self._next_look is not None and now < self._next_look):
            return None
        self._next_look = now + LOOK_SECONDS
        used = kernel.private_memory(pid) if self._worth_measuring(pid) else None
        verdict = MemoryVerdict.OK if used is None else self.judge(used)
        if used is None or verdict is MemoryVerdict.OK:
            return None
        return MemoryReport(used=used, verdict=verdict)

    def _worth_measuring(self, pid: int) -> bool:
        """Private memory takes the kernel milliseconds (it walks the pages), resident memory, which is never less,
        microseconds. Half of the threshold is left for error: the kernel's count of resident pages is approximate."""
        thresholds = [bytes_ for bytes_ in (self._warn_above, self._limit_bytes) if bytes_ is not None]
        if not thresholds:
            return False
        resident = _resident_memory(pid)
        return resident is None or resident >= min(thresholds) / 2


def _resident_memory(pid: int) -> int | None:
    """Bytes of memory that the process has in use, shared ones included; None where the system does not tell."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")
