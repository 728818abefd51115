"""Reaps every process that ends below the host, and tells those who wait for one how it ended.

Runs on the host's loop, woken by SIGCHLD. The host is a subreaper, so besides its own processes it gets orphans it
never heard of (a user's daemon, the intermediate process of a fork); they are reaped too. Children that belong to
another part of the program (`spare`) are never stolen: waitid(WNOWAIT) looks before anything is reaped.

No pidfds: a process that only we reap keeps its pid until we do, so signalling it, or its group, by pid is safe.
"""

import asyncio
import os
import signal
from collections import OrderedDict

from msgspec import Struct

from agenthost import kernel
from agenthost.processes.left_behind import LeftBehind

_REMEMBERED = 1024
_LOOK_AGAIN_SECONDS = 1.0


class ExitStatus(Struct, frozen=True):
    """How a process ended: an exit code, or the signal that killed it. `max_rss` is in bytes, 0 when unknown."""

    code: int | None
    signal: int | None = None
    max_rss: int = 0

    @classmethod
    def of(cls, code: int, max_rss: int = 0) -> "ExitStatus":
        """From an exit code, or minus the signal, as Python tells both in one number."""
        return cls(code, max_rss=max_rss) if code >= 0 else cls(None, -code, max_rss)

    def __str__(self) -> str:
        if self.signal is None:
            return f"exit code {self.code}"
        try:
            return f"signal {signal.Signals(self.signal).name}"
        except ValueError:
            return f"signal {self.signal}"


class Reaper:
    """One for the whole host. `start` and `stop` on the loop."""

    def __init__(self) -> None:
        self._waiting: dict[int, asyncio.Future[ExitStatus]] = {}
        self._spared: set[int] = set()
        self._leaders: set[int] = set()
        # Ended before anybody asked: a job may be dead before its Hello is read.
        self._recent: OrderedDict[int, ExitStatus] = OrderedDict()
        self._again: asyncio.TimerHandle | None = None
        self._left_behind = LeftBehind(self._is_known)

    def start(self) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self.reap)
        self.reap()

    def stop(self) -> None:
        asyncio.get_running_loop().remove_signal_handler(signal.SIGCHLD)
        if self._again is not None:
            self._again.cancel()

    def spare(self, pid: int) -> None:
        """`pid` is a child that somebody else waits for."""
        self._spared.add(pid)

    def exited(self, pid: int, *, with_group: bool = False) -> "asyncio.Future[ExitStatus]":
        """Done when child `pid` has ended and was reaped. `with_group`: the group that it leads goes with it."""
        if with_group:
            self._leaders.add(pid)
        future = self._waiting.get(pid)
        if future is None:
            future = asyncio.get_running_loop().create_future()
            ended = self._recent.pop(pid, None)
            if ended is not None and not _is_our_child(pid):
                self._leaders.discard(pid)
                future.set_result(ended)
            else:
                self._waiting[pid] = future
        return future

    def kill_left_behind(self, pid: int, number: int) -> None:
        """SIGKILL to what a dead process (its pid, its fork request) left running: our adopted children by now."""
        self._left_behind.kill(pid, number)

    def _is_known(self, pid: int) -> bool:
        return pid in self._waiting or pid in self._spared

    def reap(self) -> None:
        """Reap all that have ended."""
        if hasattr(os, "waitid"):
            self._reap_any()
        else:
            for pid in list(self._waiting):
                self._reap_one(pid)

    def _reap_any(self) -> None:
        while True:
            try:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if ended is None:
                return
            if ended.si_pid in self._spared:
                # Its owner reaps it any moment; until then it hides the others, so ask for those one by one.
                for pid in list(self._waiting):
                    self._reap_one(pid)
                self._look_again()
                return
            self._reap_one(ended.si_pid)

    def _reap_one(self, pid: int) -> None:
        if pid in self._leaders and _has_ended(pid):
            _kill_group(pid)  # before its number can be given to another
            self._leaders.discard(pid)
        try:
            found, status, usage = os.wait4(pid, os.WNOHANG)
        except ChildProcessError:
            return
        if found == 0:
            return
        code = os.waitstatus_to_exitcode(status)
        # ru_maxrss is in KiB on Linux, in bytes on macOS
        rss = usage.ru_maxrss * (1024 if kernel.LINUX else 1)
        ended = ExitStatus.of(code, rss)
        future = self._waiting.pop(pid, None)
        if future is not None:
            if not future.done():
                future.set_result(ended)
            return
        self._recent[pid] = ended
        while len(self._recent) > _REMEMBERED:
            self._recent.popitem(last=False)

    def _look_again(self) -> None:
        if self._again is None or self._again.cancelled() or self._again.when() <= asyncio.get_running_loop().time():
            self._again = asyncio.get_running_loop().call_later(_LOOK_AGAIN_SECONDS, self.reap)


def _has_ended(pid: int) -> bool:
    """Whether our child `pid` waits to be reaped. Never where the system cannot look without reaping."""
    try:
        return hasattr(os, "waitid") and os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return False


def _kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # it leads none, or nobody is left in it


def _is_our_child(pid: int) -> bool:
    """The pid is in use again by a child of ours (pids are reused)."""
    try:
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return True
