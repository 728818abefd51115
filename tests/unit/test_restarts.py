"""When to try again: bounded, growing, jittered."""

from hypothesis import given
from hypothesis import strategies as st

from agenthost.restarts import (
    LONGEST_RECONNECT_SECONDS,
    LONGEST_RESTART_SECONDS,
    LONGEST_START_SECONDS,
    reconnect_delay,
    restart_delay,
    start_delay,
)


@given(attempt=st.integers(0, 10_000), jitter=st.floats(0, 1))
def test_reconnect_delay_is_bounded_and_never_zero(attempt: int, jitter: float) -> None:
    """However often it failed: at least a quarter of a second, at most half a minute."""
    assert 0.25 <= reconnect_delay(attempt, jitter) <= LONGEST_RECONNECT_SECONDS


@given(attempt=st.integers(0, 1000), jitter=st.floats(0, 1))
def test_reconnect_delay_grows_with_each_failure(attempt: int, jitter: float) -> None:
    """With the same luck a later attempt never comes sooner."""
    assert reconnect_delay(attempt, jitter) <= reconnect_delay(attempt + 1, jitter)


def test_half_of_the_reconnect_delay_is_random() -> None:
    """Workers of one server do not come back in one wave."""
    assert reconnect_delay(10, 0.0) == LONGEST_RECONNECT_SECONDS / 2
    assert reconnect_delay(10, 1.0) == LONGEST_RECONNECT_SECONDS


def test_start_delay_doubles_up_to_its_bound() -> None:
    """No delay after a success; then each failure doubles it."""
    assert [start_delay(n) for n in range(5)] == [0.0, 0.5, 1.0, 2.0, 4.0]
    assert start_delay(10_000) == LONGEST_START_SECONDS


def test_restart_waits_at_least_the_backoff_and_doubles_it() -> None:
    """The file's number is the shortest first wait; jitter only adds."""
    assert [restart_delay(attempt, 2.0, 0.0) for attempt in range(3)] == [2.0, 4.0, 8.0]
    assert restart_delay(0, 2.0, 1.0) == 2.5
    assert restart_delay(60, 2.0, 0.0) == LONGEST_RESTART_SECONDS
