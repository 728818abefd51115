"""Which request to end is an echo of another."""

import pytest

from agenthost.signals import REPEAT_SECONDS, Requests


@pytest.mark.parametrize(
    ("times", "counted"),
    [
        ([0.0, 0.005], [0.0]),
        ([0.0, REPEAT_SECONDS], [0.0, REPEAT_SECONDS]),
        ([0.0, 2.0, 2.005, 2.01, 4.0], [0.0, 2.0, 4.0]),
        ([0.0, 0.3, 0.6, 0.9, 1.2], [0.0, 0.6, 1.2]),
    ],
)
def test_requests_that_come_together_are_one(times: list[float], counted: list[float]) -> None:
    """The time runs from the one that counted: somebody who goes on and on is heard every half second."""
    requests = Requests()
    assert [time for time in times if requests.counts(time)] == counted
