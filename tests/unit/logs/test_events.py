"""Our own logger: constant texts with fields on standard records."""

import logging

import pytest

from agenthost.logs.events import get_logger
from agenthost.logs.levels import TRACE
from tests.unit.logs.conftest import Collector


def test_event_and_fields_reach_the_root_logger(collected: Collector) -> None:
    """An event is a record of logger `agenthost.<name>` that carries its fields, bound ones first."""
    get_logger("test").bind(agent="a", n=1).info("registered", n=2, worker_id="AW")
    (line,) = collected.lines
    assert (line.logger, line.level, line.message) == ("agenthost.test", logging.INFO, "registered")
    assert list(line.fields.items()) == [("agent", "a"), ("n", 2), ("worker_id", "AW")]


def test_binding_leaves_the_logger_it_came_from_alone(collected: Collector) -> None:
    """Loggers are values: two jobs that bind the same one do not meet."""
    log = get_logger("test")
    log.bind(job_id="AJ_1")
    log.info("event")
    assert collected.lines[0].fields == {}


@pytest.mark.parametrize("name", ["trace", "debug", "info", "warning", "error", "critical"])
def test_each_level_has_its_method(collected: Collector, name: str) -> None:
    """The method says the level."""
    getattr(get_logger("test"), name)("event")
    assert logging.getLevelName(collected.lines[0].level) == name.upper()


def test_disabled_level_makes_no_record(collected: Collector, own_logging: logging.Logger) -> None:
    """Levels are those of the standard loggers."""
    own_logging.setLevel(logging.INFO)
    get_logger("test").debug("event")
    get_logger("test")._log(TRACE, "event", None, {})
    assert collected.lines == []


def test_a_percent_sign_in_an_event_is_text(collected: Collector) -> None:
    """Events are never formatted."""
    get_logger("test").info("100 %s", s=1)
    assert collected.messages == ["100 %s"]


def test_exc_info_true_is_the_exception_being_handled(collected: Collector) -> None:
    """As with standard loggers; outside an except block it adds nothing."""
    log = get_logger("test")
    log.error("nothing to tell", exc_info=True)
    try:
        raise ValueError("boom")
    except ValueError as caught:
        log.error("failed", exc_info=True)
        error = caught
    log.error("failed before", exc_info=error)
    assert collected.lines[0].traceback == ""
    assert [line.traceback.splitlines()[-1] for line in collected.lines[1:]] == ["ValueError: boom"] * 2
