"""Examples of a file, decided by its rules."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from agenthost.config.loading import Options, examine_text, loaded
from agenthost.config.model import AcceptTemplate, Action, Config, RequestExample
from agenthost.examples import ExamplesReport, Mismatch, run_examples
from tests.support.values import EVERYTHING, MONDAY_NOON, make_agent, make_example, make_requests, make_rule

OPTIONS = Options(environ={}, command="test", secrets=False)
PLAIN = loaded(examine_text("entrypoint: json:loads\n", Path("agenthost.yaml"), OPTIONS)).config


def run(*examples: RequestExample, timezone: str = "UTC", now: datetime = MONDAY_NOON, **agent: Any) -> ExamplesReport:
    """The examples, sent to an agent that accepts all by one rule for the morning and rejects the rest."""
    morning = make_rule("morning", {"time.hour": "6..12"}, accept=AcceptTemplate(name="Morning"))
    requests = make_requests(morning, make_rule("never", {"sample": "0%"}), otherwise=Action.REJECT)
    config: Config = replace(
        PLAIN, agents=(make_agent(requests=requests, **agent),), examples=examples, timezone=ZoneInfo(timezone)
    )
    return run_examples(config, now)


@pytest.mark.parametrize(
    ("at", "timezone", "rule"),
    [
        ("2026-07-01T09:00:00Z", "UTC", "morning"),
        ("2026-07-01T09:00:00", "Asia/Tokyo", "morning"),
        ("2026-07-01T09:00:00Z", "Asia/Tokyo", "otherwise"),
        ("2026-07-01T22:00:00Z", "Asia/Tokyo", "morning"),
        (None, "UTC", "otherwise"),
        (None, "America/New_York", "morning"),
    ],
)
def test_moment_is_seen_in_the_timezone_of_the_file(at: str | None, timezone: str, rule: str) -> None:
    """An offset is converted, none means the file's own, and no `at` is now (Monday noon, UTC)."""
    report = run(replace(make_example(rule=rule), at=at), timezone=timezone)
    assert report.passed


def test_only_what_is_written_is_compared() -> None:
    """An empty `expect` always passes."""
    assert run(make_example()).passed


def test_every_difference_is_listed() -> None:
    """A rejected request has no name at all."""
    example = make_example(action=Action.ACCEPT, name="Morning", attributes={"a": "b"}, permissions={"hidden": True})
    (result,) = run(example).results
    assert result.mismatches == (
        Mismatch(what="action", expected="accept", actual="reject"),
        Mismatch(what="name", expected="Morning", actual="nothing"),
        Mismatch(what="attributes.a", expected="b", actual="nothing"),
        Mismatch(what="permissions.hidden", expected="true", actual="false"),
    )


def test_reason_is_that_of_the_reject() -> None:
    """The constant that logs and metrics have."""
    assert run(make_example(reason="otherwise")).passed


def test_sources_are_compared_as_a_set() -> None:
    """The order of a list of sources means nothing."""
    permissions = replace(EVERYTHING, can_publish_sources=("camera", "microphone"))
    example = make_example(permissions={"can_publish_sources": ["microphone", "camera"]})
    morning = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
    assert run(example, now=morning, permissions=permissions).passed


def test_rules_that_decided_no_example_are_told_apart() -> None:
    """Coverage is by the rule that decided, not by those that were looked at."""
    report = run(replace(make_example(), at="2026-07-01T09:00:00Z"))
    assert [(reach.rule.name, reach.reached) for reach in report.rules] == [("morning", True), ("never", False)]
