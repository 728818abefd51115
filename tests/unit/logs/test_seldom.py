"""What is said once in a while."""

from agenthost.logs.seldom import AGAIN_SECONDS, Seldom


def test_each_thing_is_said_at_once_and_then_hourly() -> None:
    """Things do not share their hour."""
    now = 0.0
    seldom = Seldom(clock=lambda: now)
    assert [seldom("a"), seldom("a"), seldom("b")] == [True, False, True]
    now = AGAIN_SECONDS - 1
    assert not seldom("a")
    now = AGAIN_SECONDS
    assert [seldom("a"), seldom("a")] == [True, False]


def test_what_is_remembered_is_bounded() -> None:
    """The oldest is forgotten: names from outside cannot fill the memory."""
    seldom = Seldom(clock=lambda: 0.0)
    assert all(seldom(number) for number in range(2000))
    assert not seldom(1999)
    assert seldom(0)
