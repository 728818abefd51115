"""When to try again: pure policies that decide, with time and randomness passed in, and give no orders."""

FIRST_RECONNECT_SECONDS = 0.5
LONGEST_RECONNECT_SECONDS = 30.0
STABLE_AFTER_SECONDS = 10.0
"""A registration that held this long was good: the next loss starts counting anew. A server that accepts and closes
at once never gets there, nor one that accepts and says nothing, so the delay keeps growing."""

FIRST_START_SECONDS = 0.5
LONGEST_START_SECONDS = 60.0

LONGEST_RESTART_SECONDS = 300.0


def reconnect_delay(attempt: int, jitter: float) -> float:
    """Seconds to wait before connection attempt `attempt` (0: the first after a loss); `jitter` is in 0..1.

    Half of the delay is random, so that the workers of a restarted server do not come back in one wave.
    """
    ceiling = min(LONGEST_RECONNECT_SECONDS, FIRST_RECONNECT_SECONDS * 2.0 ** min(attempt, 16))
    return ceiling * (0.5 + 0.5 * jitter)


def start_delay(failures: int) -> float:
    """Seconds to wait before a process is started again after `failures` failures in a row; each one doubles it."""
    if failures == 0:
        return 0.0
    return min(LONGEST_START_SECONDS, FIRST_START_SECONDS * 2.0 ** min(failures - 1, 16))


def restart_delay(attempt: int, backoff: float, jitter: float) -> float:
    """Seconds to wait before a failed job is brought back; it was attempt number `attempt`, counted from 0.

    `backoff` is the wait after the first failure, never less, and doubles with each; `jitter` in 0..1 adds up to a
    quarter, so that the jobs that one fault ended do not come back in one wave.
    """
    return min(LONGEST_RESTART_SECONDS, backoff * 2.0 ** min(attempt, 16)) * (1.0 + 0.25 * jitter)
