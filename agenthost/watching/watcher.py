"""Tells when watched files have really changed. Runs on the host's loop; other threads only wake it up.

`Watcher` calls back once for each settled burst of edits, with the files whose content differs from what it was at
the last call (or when they were first watched).

    idle → (an event) → waiting until it is quiet → look → settled: call back
                                  ↑________________________| something is missing, or still being written

Notifications can be missing: network file systems, a folder above that was moved, a queue that overflowed. So it
also looks by itself every few seconds, and more often where the system gives no notifications at all.
"""

import asyncio
import time
from collections.abc import Callable, Collection
from pathlib import Path

from agenthost.logs.events import get_logger
from agenthost.watching.contents import Contents
from agenthost.watching.notifier import Notifier, NotifierFailed
from agenthost.watching.places import Selection

_log = get_logger("watching")

_POLL_SECONDS = 2.0
_POLL_SECONDS_UNNOTIFIED = 1.0
_POLL_SHARE = 50  # looking takes at most one part in so many of the time
_LEAST_PAUSE_SECONDS = 0.02  # between two looks that shall find the same
_LONGEST_BURST_SECONDS = 1.0  # then what is settled is told, although other files are still being written


class Watcher:
    """`on_change` is called on the loop with the files that were edited, made or deleted since the last call.

    debounce  seconds for which nothing may have happened to the watched files before they are looked at; may be
              changed at any time
    """

    def __init__(self, on_change: Callable[[frozenset[Path]], None], *, debounce: float) -> None:
        self._on_change = on_change
        self.debounce = debounce
        self._contents = Contents()
        self._notifier = Notifier(self._heard)
        self._running = False
        self._woken = False  # an event is on its way from another thread
        self._burst: _Burst | None = None
        self._look_timer: asyncio.TimerHandle | None = None
        self._poll_timer: asyncio.TimerHandle | None = None
        self._poll_seconds = _POLL_SECONDS

    def watch(
        self, paths: Collection[Path], *, code_folders: Collection[Path] = (), since: float | None = None
    ) -> None:
        """Replace what is watched; what was watched before goes on without a gap.

        paths         files, and folders of which any file counts; they need not exist
        code_folders  folders in which any `*.py` counts
        since         when the files were read, in seconds since the epoch, if before this call: a new one that was
                      written later counts as changed
        """
        selection = Selection(
            paths=frozenset(path.absolute() for path in paths),
            code_folders=frozenset(path.absolute() for path in code_folders),
        )
        new = self._contents.select(selection)
        self._renew_watches()
        self._contents.adopt(new, since=since)  # after the watches: no edit can fall between
        if self._running:
            self._touched()

    def start(self) -> None:
        """Begin; needs a running loop."""
        self._loop = asyncio.get_running_loop()
        self._running = True
        try:
            self._notifier.start()
        except NotifierFailed as error:
            self._poll_instead(str(error))
        self._renew_watches()
        self._touched()
        self._poll_later(self._poll_seconds)

    def stop(self) -> None:
        """No call comes after this one."""
        self._running = False
        for timer in (self._look_timer, self._poll_timer):
            if timer is not None:
                timer.cancel()
        self._notifier.stop()

    def _heard(self) -> None:
        """In a thread of the notifier."""
        if self._woken or not self._running:
            return
        self._woken = True
        try:
            self._loop.call_soon_threadsafe(self._touched)
        except RuntimeError:  # the loop was closed without `stop`: nobody is left to tell
            self._running = False

    def _touched(self) -> None:
        """Something may have changed: look when it has been quiet, or when this goes on for too long."""
        self._woken = False
        if not self._running:
            return
        now = self._loop.time()
        if self._burst is None:
            self._burst = _Burst(began=now, last=now)
        self._burst.last = now
        if self._look_timer is None or not self._burst.is_overdue(now):
            self._look_later()

    def _look_later(self) -> None:
        if self._look_timer is not None:
            self._look_timer.cancel()
        self._look_timer = self._loop.call_later(max(self.debounce, _LEAST_PAUSE_SECONDS), self._look)

    def _look(self) -> None:
        """The timer rang. Calling back comes last: it may call `watch`."""
        burst, self._look_timer = self._burst, None
        assert burst is not None  # the timer runs only while there is one
        now = self._loop.time()
        quiet = now - burst.last >= self.debounce
        look = self._contents.look(quiet=quiet)
        tell = bool(look.settled) and (not look.unsettled or burst.is_overdue(now))
        if tell:
            self._contents.report(look.settled)
        if look.unsettled or not quiet:
            self._look_later()
        else:
            self._burst = None
        if self._renew_watches():
            self._touched()  # what was made in a new folder before it was watched is still to be found
        if tell:
            self._on_change(look.settled)

    def _poll(self) -> None:
        began = time.perf_counter()
        if self._burst is None:  # else it is looked at soon, and a look between would count as the second of two
            look = self._contents.look(quiet=False)
            if look.settled or look.unsettled or self._renew_watches():
                self._touched()
        self._poll_later(max(self._poll_seconds, _POLL_SHARE * (time.perf_counter() - began)))

    def _poll_later(self, seconds: float) -> None:
        if self._poll_timer is not None:
            self._poll_timer.cancel()
        self._poll_timer = self._loop.call_later(seconds, self._poll)

    def _renew_watches(self) -> bool:
        """Follow directories that came, went or were replaced; whether there are new ones."""
        try:
            return self._notifier.watch(self._contents.interests)
        except NotifierFailed as error:
            self._poll_instead(str(error))
            return False

    def _poll_instead(self, reason: str) -> None:
        self._notifier.stop()
        self._poll_seconds = _POLL_SECONDS_UNNOTIFIED
        self._poll_later(self._poll_seconds)
        _log.warning("files are polled", reason=reason, seconds=self._poll_seconds, effect="edits are noticed later")


class _Burst:
    """Events that follow each other within the debounce time; both times are the loop's."""

    __slots__ = ("began", "last")

    def __init__(self, *, began: float, last: float) -> None:
        self.began = began
        self.last = last

    def is_overdue(self, now: float) -> bool:
        return now - self.began >= _LONGEST_BURST_SECONDS
