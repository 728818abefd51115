"""When load makes the host or an agent full, and when the LiveKit server is told. Pure: the host brings the time.

Slots need no brake: they are counted exactly and act at once. Cpu, memory and a user's own load function waver, so they
must be over their limit for a while, and well below it again.
"""

from typing import Protocol

FULL_AFTER_SECONDS = 2.0
AVAILABLE_BELOW_FRACTION = 0.9

REPORT_STEP = 0.02
"""A smaller move of the load does not change whom the server chooses."""

REPORT_EVERY_SECONDS = 0.25


class Brake:
    """FULL after 2 s at or over a limit without a break, available again below 90 % of it."""

    def __init__(self) -> None:
        self._full = False
        self._over_since: float | None = None

    @property
    def full(self) -> bool:
        return self._full

    def update(self, fraction: float, now: float) -> bool:
        """Whether it is full, now that the nearest limit is used to `fraction` (1.0: reached).

        `now` is in seconds of a clock that never goes back. A fraction that is no number (nan) counts as below.
        """
        over = fraction >= 1.0
        if not over:
            self._over_since = None
        elif self._over_since is None:
            self._over_since = now
        if self._full:
            self._full = fraction >= AVAILABLE_BELOW_FRACTION
        elif self._over_since is not None:
            self._full = now - self._over_since >= FULL_AFTER_SECONDS
        return self._full


class Load(Protocol):
    """What the server is told: `full`, the `fraction` of the nearest limit, and `jobs`, the slots in use."""

    @property
    def full(self) -> bool: ...

    @property
    def fraction(self) -> float: ...

    @property
    def jobs(self) -> int: ...


def worth_reporting(last: Load | None, new: Load, *, last_at: float, now: float) -> float | None:
    """The time from which `new` may be sent to the server (`now`: at once); None when it is not worth a message.

    `last` is what was sent before, at time `last_at`; None: nothing yet. Any change of slots or of full is worth one,
    else a move by 0.02; never more than four a second. Whoever waits for the returned time asks again then.
    """
    if last is None:
        return now
    # The wire carries at most 1.0: what is above changes nothing there. Rounded, or 0.12 is not 0.02 more than 0.10.
    moved = round(abs(min(1.0, new.fraction) - min(1.0, last.fraction)), 6) >= REPORT_STEP
    if new.full == last.full and new.jobs == last.jobs and not moved:
        return None
    return max(now, last_at + REPORT_EVERY_SECONDS)
