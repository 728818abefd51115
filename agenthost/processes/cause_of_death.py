"""Why a process of ours ended, in one phrase; and whom the kernel took for want of memory.

Runs in the host. The phrase is pure; the kills are those that the cgroup counted which the host shares with its jobs.
"""

import signal
import time
from collections import deque
from collections.abc import Callable

from agenthost.cgroups import oom_kill_count
from agenthost.processes.reaper import ExitStatus

_MIB = 1 << 20

CLAIM_SECONDS = 10.0
"""How long after a kill was counted a process may be found dead of it: one with much memory takes a while to go."""

_MOST_KILLS = 10_000


def explain_exit(status: ExitStatus | None, *, out_of_memory: bool = False, killed_because: str = "") -> str:
    """How a process ended and, as far as can be told, why: `exit code 3`, `killed by signal SIGKILL (…)`.

    `status` None: it was never started. `out_of_memory`: the kernel's OOM killer is known to have taken it.
    `killed_because` is the host's own reason for a SIGKILL, "" when the host sent none.
    """
    if status is None:
        return "it was never started"
    if status.signal is None:
        return str(status)
    killed = f"killed by {status}"
    if status.signal != signal.SIGKILL:
        return killed
    if killed_because:
        return f"{killed} (by the host: {killed_because})"
    resident = f", {status.max_rss // _MIB} MiB resident" if status.max_rss else ""
    if out_of_memory:
        return f"{killed} (out of memory: the kernel's OOM killer took it{resident})"
    return f"{killed} (maybe out of memory, or an operator{resident})"


class OomWatch:
    """Tells of how many processes the OOM killer was the end: of as many as the cgroup counted, and no more.

    To be looked at about once a second: a kill that no process of ours was found dead of (it was a program that user
    code had started) must not explain a death long after it.
    """

    def __init__(
        self, count: Callable[[], int | None] = oom_kill_count, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._count = count
        self._clock = clock
        self._seen = count()
        self._kills: deque[float] = deque(maxlen=_MOST_KILLS)

    def look(self) -> None:
        """Take note of the kills since the last look, and forget the old ones."""
        now, counted = self._clock(), self._count()
        if counted is not None:
            new = counted - self._seen if self._seen is not None else 0
            self._kills.extend([now] * min(max(0, new), _MOST_KILLS))
            self._seen = counted
        while self._kills and self._kills[0] <= now - CLAIM_SECONDS:
            self._kills.popleft()

    def explain(self, status: ExitStatus | None, *, killed_because: str = "") -> str:
        """`explain_exit` with what the cgroup says; to be asked once for each process that ended."""
        unexplained = status is not None and status.signal == signal.SIGKILL and not killed_because
        return explain_exit(status, out_of_memory=unexplained and self._claim(), killed_because=killed_because)

    def _claim(self) -> bool:
        self.look()
        if not self._kills:
            return False
        self._kills.popleft()
        return True
