"""Levels: our six names, and which logger gets which."""

import logging

import pytest

from agenthost.logs.levels import QUIET, TRACE, LevelSetter, level_name

pytestmark = pytest.mark.usefixtures("own_logging")


def test_trace_is_a_level_below_debug() -> None:
    """TRACE can be set by its name like the standard ones."""
    assert TRACE < logging.DEBUG
    assert logging.getLevelName(TRACE) == "TRACE"


@pytest.mark.parametrize(
    ("number", "name"), [(1, "TRACE"), (5, "TRACE"), (10, "DEBUG"), (25, "INFO"), (30, "WARNING"), (99, "CRITICAL")]
)
def test_any_number_has_one_of_our_names(number: int, name: str) -> None:
    """A level of a library's own gets the name of the level below it, so that readers know all names."""
    assert level_name(number) == name


def test_libraries_are_quiet_unless_listed() -> None:
    """At DEBUG an HTTP client would drown the user's own lines; who wants its lines names it."""
    setter = LevelSetter()
    setter.apply("DEBUG", {"httpx": "DEBUG"})
    assert logging.getLogger().level == logging.DEBUG
    assert logging.getLogger("httpcore.connection").getEffectiveLevel() == logging.WARNING
    assert logging.getLogger("httpx").getEffectiveLevel() == logging.DEBUG
    setter.reset()


def test_level_above_warning_holds_for_libraries_too() -> None:
    """`log_level: ERROR` means errors, also of libraries that are otherwise held at WARNING."""
    setter = LevelSetter()
    setter.apply("ERROR", {})
    assert logging.getLogger("aiohttp").getEffectiveLevel() == logging.ERROR
    setter.reset()


def test_levels_that_are_no_longer_listed_are_taken_back() -> None:
    """After a reload without `log_levels`, the logger follows `log_level` again."""
    setter = LevelSetter()
    setter.apply("INFO", {"test.one": "TRACE"})
    setter.apply("INFO", {})
    assert logging.getLogger("test.one").getEffectiveLevel() == logging.INFO
    setter.reset()


def test_the_same_levels_again_write_to_no_logger() -> None:
    """Every process forked from a template sets them once more, and copies each page of memory that this touches."""
    setter = LevelSetter()
    setter.apply("INFO", {"test.three": "TRACE"})
    logger = logging.getLogger("test.three")
    assert logger.isEnabledFor(logging.DEBUG)
    kept = dict(logger._cache)  # type: ignore[attr-defined]  # `setLevel` of any logger empties it
    setter.apply("INFO", {"test.three": "TRACE"})
    assert kept and logger._cache == kept  # type: ignore[attr-defined]
    setter.apply("INFO", {"test.three": "ERROR"})
    assert not logger.isEnabledFor(logging.DEBUG)
    setter.reset()


def test_reset_takes_everything_back() -> None:
    """After `reset`, no logger but the root has a level of ours."""
    setter = LevelSetter()
    setter.apply("INFO", {"test.two": "TRACE"})
    setter.reset()
    assert {logging.getLogger(name).level for name in (*QUIET, "test.two")} == {logging.NOTSET}
