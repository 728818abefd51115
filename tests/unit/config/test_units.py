"""Durations, sizes and ratios: what is read, what is refused, and what is suggested instead."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agenthost.config.units import (
    format_duration,
    format_size,
    has_no_amount,
    parse_duration,
    parse_ratio,
    parse_size,
    suggest_duration,
    suggest_ratio,
    suggest_size,
)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("10s", 10),
        ("30m", 1800),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("2d", 172800),
        ("0s", 0),
        ("1m500ms", 60.5),
    ],
)
def test_durations_are_numbers_with_units(text: str, seconds: float) -> None:
    """Units go from large to small, each at most once."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "1m1h", "10 s", "10S", "-1s", "1h1h", "s", "10sec", "1e3s", "١s"])
def test_other_durations_are_refused(text: str) -> None:
    """A bare number above all: nobody knows whether it means seconds."""
    with pytest.raises(ValueError, match="not a duration"):
        parse_duration(text)


@given(st.integers(0, 10**11))
def test_formatted_durations_mean_the_same(milliseconds: int) -> None:
    """What is suggested for a number is exactly that number."""
    assert math.isclose(parse_duration(format_duration(milliseconds / 1000)), milliseconds / 1000, abs_tol=1e-6)


@pytest.mark.parametrize(
    ("text", "count"), [("512MB", 512_000_000), ("1GiB", 2**30), ("1.5KiB", 1536), ("0B", 0), ("2TB", 2 * 10**12)]
)
def test_sizes_count_by_1000_or_by_1024(text: str, count: int) -> None:
    """`MB` is a million bytes, `MiB` 1024 x 1024."""
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["512", "512mb", "1G", "1 GB", "GB", "-1GB"])
def test_other_sizes_are_refused(text: str) -> None:
    """A size names its unit exactly."""
    with pytest.raises(ValueError, match="not a size"):
        parse_size(text)


@given(st.integers(0, 2**50))
def test_formatted_sizes_mean_the_same(count: int) -> None:
    """What is suggested for a number is exactly that number."""
    if len(format_size(count).rstrip("KMGTiB")) <= 9:
        assert parse_size(format_size(count)) == count


@pytest.mark.parametrize(("value", "ratio"), [("70%", 0.7), (0.7, 0.7), ("100%", 1.0), ("12.5%", 0.125), (0.0, 0.0)])
def test_ratios_are_percentages_or_fractions(value: str | float, ratio: float) -> None:
    """Both spellings mean the same."""
    assert parse_ratio(value) == pytest.approx(ratio)


@pytest.mark.parametrize("value", [1, 70, True, "70", "120%", 1.5, -0.1, "70 %"])
def test_other_ratios_are_refused(value: str | float) -> None:
    """`1` could be one percent or all of it."""
    with pytest.raises(ValueError, match="not"):
        parse_ratio(value)


@pytest.mark.parametrize(
    ("value", "first"),
    [
        (3600, "1h"),
        (30, "30s"),
        (0.5, "500ms"),
        ("10 seconds", "10s"),
        ("5 min", "5m"),
        ("2 Hours", "2h"),
        ("soon", ""),
        ("30m1h", "1h30m"),
        ("1m30", "1m30s"),
        ("1h30", "1h30m"),
        ("10s10s", ""),
        ("5ms5", ""),
    ],
)
def test_a_wrong_duration_gets_the_right_spelling(value: object, first: str) -> None:
    """The first suggestion is what `--fix` writes."""
    assert (suggest_duration(value) or ("",))[0] == first


def test_what_has_too_many_digits_is_not_suggested_again() -> None:
    """A hint to write what was just refused would be taken for a mistake of ours."""
    assert suggest_duration("99999999999h") == ()
    assert suggest_size("99999999999GB") == ()


def test_zero_is_no_amount_in_any_unit() -> None:
    """What is no measure at all is another problem."""
    assert all(map(has_no_amount, ("0s", "0ms", "0h0m", "0MB", "0GiB", "0%", 0.0)))
    assert not any(map(has_no_amount, ("1s", "1B", "1%", 0.1, 0, "0", "none", None, True)))


def test_suggestions_for_sizes_and_ratios() -> None:
    """Numbers get a unit, slips of the pen the right letters; what cannot be guessed gets nothing."""
    assert suggest_size(2**30) == ("1GiB", "1073741824B")
    assert suggest_size("512mb") == ("512MB", "512MiB")
    assert suggest_size(500) == suggest_size("500") == ("500MB", "500MiB")
    assert suggest_size("500 b") == ("500B",)
    assert suggest_size("big") == ()
    assert suggest_ratio(70) == ("70%",)
    assert suggest_ratio("0.7") == ("70%",)
    assert suggest_ratio("120%") == ()
