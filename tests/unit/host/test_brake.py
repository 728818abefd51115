"""When load makes full, and when the server hears of it."""

import math
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agenthost.host.brake import Brake, worth_reporting


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """As little of a load report as the server is told."""

    full: bool = False
    fraction: float = 0.5
    jobs: int = 3


def full_at(*fractions: float, every: float = 1.0) -> list[bool]:
    """What a new brake says to one fraction after another."""
    brake = Brake()
    return [brake.update(fraction, 100.0 + every * number) for number, fraction in enumerate(fractions)]


def test_load_at_the_limit_makes_full_after_two_seconds() -> None:
    """The limit itself is over, and two seconds of it are enough."""
    assert full_at(1.0, 1.0, 1.0) == [False, False, True]


def test_load_over_the_limit_for_less_than_two_seconds_is_forgotten() -> None:
    """Two seconds without a break: one look below the limit begins them anew."""
    assert full_at(1.2, 1.2, 0.99, 1.2, 1.2) == [False] * 5


def test_one_look_over_the_limit_makes_nothing_full() -> None:
    """A spike, however high, is not load."""
    assert full_at(0.5, 1000.0, 0.5, 0.5) == [False] * 4


def test_full_lasts_until_the_load_is_below_nine_tenths_of_the_limit() -> None:
    """At the limit's edge the host does not flap; 90 % itself is still full."""
    assert full_at(1.0, 1.0, 1.0, 0.95, 0.9, 0.89) == [False, False, True, True, True, False]


def test_once_available_again_it_takes_two_seconds_anew() -> None:
    """What was over before it was available does not count again."""
    assert full_at(1.0, 1.0, 1.0, 0.5, 1.0, 1.0, 1.0) == [False, False, True, False, False, False, True]


def test_looks_may_come_at_any_pace() -> None:
    """It is time that counts, not looks: ten in one second do not make full, two that are three seconds apart do."""
    assert not any(full_at(*[2.0] * 10, every=0.1))
    assert full_at(1.0, 1.0, every=3.0) == [False, True]


def test_load_that_is_no_number_is_not_over() -> None:
    """A load function that divides zero by zero neither makes full nor keeps full."""
    assert full_at(math.nan, math.nan, math.nan) == [False] * 3
    assert full_at(1.0, 1.0, 1.0, math.nan)[-1] is False


def test_property_full_tells_the_last_update() -> None:
    """Reading it changes nothing."""
    brake = Brake()
    assert not brake.full
    brake.update(1.0, 0.0)
    assert brake.update(1.0, 2.0)
    assert brake.full


@settings(max_examples=25)
@given(st.lists(st.floats(0.0, 3.0), max_size=15))
def test_brake_never_closes_without_two_seconds_over_the_limit(fractions: list[float]) -> None:
    """Whenever it turns full, the three looks that span the last two seconds were all at or over the limit."""
    answers = full_at(*fractions)
    for now, (before, after) in enumerate(zip([False, *answers], answers, strict=False)):
        if after and not before:
            assert min(fractions[max(0, now - 2) : now + 1]) >= 1.0
        if before and not after:
            assert fractions[now] < 0.9


def test_first_report_is_due_at_once() -> None:
    """The server knows nothing yet."""
    assert worth_reporting(None, Sent(), last_at=0.0, now=7.0) == 7.0


@pytest.mark.parametrize(
    "new",
    [
        pytest.param(Sent(jobs=4), id="a slot more"),
        pytest.param(Sent(jobs=2), id="a slot less"),
        pytest.param(Sent(full=True), id="full"),
        pytest.param(Sent(fraction=0.52), id="load up"),
        pytest.param(Sent(fraction=0.48), id="load down"),
    ],
)
def test_change_is_reported_at_once(new: Sent) -> None:
    """Slots and full always, load from a move of 0.02 on."""
    assert worth_reporting(Sent(), new, last_at=5.0, now=7.0) == 7.0


@pytest.mark.parametrize("fraction", [0.5, 0.519, 0.481])
def test_small_move_of_the_load_is_not_worth_a_message(fraction: float) -> None:
    """The host is silent while nothing happens."""
    assert worth_reporting(Sent(), Sent(fraction=fraction), last_at=5.0, now=700.0) is None


def test_small_moves_add_up() -> None:
    """Compared is with what was sent last, so that a slow rise is told too."""
    sent = Sent(fraction=0.10)
    assert worth_reporting(sent, Sent(fraction=0.11), last_at=5.0, now=7.0) is None
    assert worth_reporting(sent, Sent(fraction=0.12), last_at=5.0, now=8.0) == 8.0


def test_load_above_its_limit_is_told_once() -> None:
    """On the wire there is nothing above 1: how far above is nobody's business."""
    assert worth_reporting(Sent(fraction=1.2), Sent(fraction=3.0), last_at=5.0, now=7.0) is None
    assert worth_reporting(Sent(fraction=0.9), Sent(fraction=3.0), last_at=5.0, now=7.0) == 7.0


def test_reports_are_at_most_four_a_second() -> None:
    """What changes sooner waits for its quarter of a second, even full."""
    assert worth_reporting(Sent(), Sent(full=True), last_at=7.0, now=7.1) == 7.25
    assert worth_reporting(Sent(), Sent(full=True), last_at=7.0, now=7.25) == 7.25


def test_change_that_is_taken_back_while_it_waits_is_not_reported() -> None:
    """Who waited asks again with what holds then."""
    due = worth_reporting(Sent(), Sent(jobs=4), last_at=7.0, now=7.1)
    assert due == 7.25
    assert worth_reporting(Sent(), replace(Sent(jobs=4), jobs=3), last_at=7.0, now=due) is None
