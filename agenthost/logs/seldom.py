"""Whether something is to be said now, or was said a while ago: what every offer can cause must not fill the log."""

import time
from collections.abc import Callable, Hashable

AGAIN_SECONDS = 3600.0
_MOST = 1000  # things that are remembered; the names of some come from outside


class Seldom:
    """Called with a thing: True the first time, and again after an hour. `clock` is one that never goes back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._said: dict[Hashable, float] = {}

    def __call__(self, thing: Hashable) -> bool:
        now = self._clock()
        if now - self._said.get(thing, -AGAIN_SECONDS) < AGAIN_SECONDS:
            return False
        self._said.pop(thing, None)
        self._said[thing] = now
        if len(self._said) > _MOST:
            del self._said[next(iter(self._said))]
        return True
