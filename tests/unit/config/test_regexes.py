"""Regexes on RE2."""

import pytest

from agenthost.config.regexes import RegexSet, regex_problem


@pytest.mark.parametrize("pattern", ["", "^a+$", "(?i)vip", r"\d{1,3}", "(?P<name>x)", "ü"])
def test_common_patterns_are_taken(pattern: str) -> None:
    """What people write works."""
    assert regex_problem(pattern) == ""


@pytest.mark.parametrize("pattern", ["(?=a)", r"(a)\1", "(?<!x)y", "[", "*", "((a{900}){900}){900}"])
def test_pattern_that_could_run_away_or_is_broken_is_refused(pattern: str, capfd: pytest.CaptureFixture[str]) -> None:
    """RE2 says why, and writes nothing to the terminal by itself."""
    assert regex_problem(pattern) != ""
    assert capfd.readouterr() == ("", "")


def test_set_finds_each_of_its_patterns() -> None:
    """The answer is by index, whatever else matches."""
    patterns = RegexSet(["^vip", "7$", "x"])
    assert [{0, 1}, set(), {2}] == [patterns.hits(text) for text in ("vip-7", "", "x")]


def test_large_set_of_large_patterns_still_answers() -> None:
    """RE2's memory limit does not silently turn a match into none."""
    patterns = [f"^room-{number}-[a-z]{{1,200}}(x|y){{1,100}}$" for number in range(100)]
    assert 42 in RegexSet(patterns).hits("room-42-abcxy")
