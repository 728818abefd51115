"""The end-of-a-job table, row by row, from what the host knows when the process is gone."""

import pytest

from agenthost.host.jobs.outcome import StopIntent, init_outcome, outcome_of
from agenthost.ipc.messages import Ended, InitFailed
from agenthost.jobs import JobOutcome, JobStatus, OutcomeKind


def decide(
    *,
    last_words: Ended | None = None,
    intent: StopIntent | None = None,
    killed_because: str = "",
    death: str = "exit code 0",
) -> JobOutcome:
    return outcome_of(last_words=last_words, intent=intent, killed_because=killed_because, death=death)


def test_last_words_are_believed() -> None:
    """A job that said how it ended ended so."""
    words = Ended(kind="failed", reason="exception", error="ValueError: boom")
    outcome = decide(last_words=words, death="exit code 1")
    assert outcome == JobOutcome(kind=OutcomeKind.FAILED, reason="exception", error="ValueError: boom")
    assert outcome.status is JobStatus.FAILED


def test_death_without_a_word_is_a_crash_with_its_cause() -> None:
    """Also with exit code 0: a job that runs does not exit by itself."""
    outcome = decide(death="exit code 0")
    assert (outcome.kind, outcome.status) == (OutcomeKind.CRASHED, JobStatus.FAILED)
    assert "exit code 0" in outcome.error


@pytest.mark.parametrize("reason", ["max_duration", "empty_room", "drain deadline", "second signal"])
def test_ends_that_the_host_wants_are_successes_even_when_it_had_to_kill(reason: str) -> None:
    """The reason given first is the reason; no error goes over the wire."""
    outcome = decide(intent=StopIntent(reason=reason), killed_because="did not end", death="signal SIGKILL")
    assert (outcome.status, outcome.reason, outcome.error) == (JobStatus.SUCCESS, reason, "")


def test_memory_limit_is_a_failure_even_when_the_job_ended_politely() -> None:
    """The job's own "stopped" does not hide why it was stopped."""
    intent = StopIntent(reason="memory", kind=OutcomeKind.FAILED, error="it used 2 GB")
    outcome = decide(last_words=Ended(kind="stopped", reason="memory"), intent=intent)
    assert (outcome.status, outcome.reason, outcome.error) == (JobStatus.FAILED, "memory", "it used 2 GB")
    hung = decide(intent=intent, killed_because="did not end", death="signal SIGKILL")
    assert hung.error == "it used 2 GB; did not end"


def test_hang_is_timed_out_with_what_was_exceeded() -> None:
    """limits.unresponsive: the text names the limit."""
    intent = StopIntent(reason="unresponsive", kind=OutcomeKind.TIMED_OUT)
    outcome = decide(intent=intent, killed_because="its event loop was blocked", death="signal SIGKILL")
    assert (outcome.kind, outcome.error) == (OutcomeKind.TIMED_OUT, "its event loop was blocked")


def test_job_that_did_not_finish_its_own_end_is_timed_out() -> None:
    """It began to end by itself and hung on the way."""
    outcome = decide(killed_because="did not end in time", death="signal SIGKILL")
    assert (outcome.kind, outcome.status) == (OutcomeKind.TIMED_OUT, JobStatus.FAILED)


def test_failed_prewarm_names_phase_error_and_line() -> None:
    """What goes over the wire is enough to find the line."""
    failure = InitFailed(phase="prewarm", error="KeyError", message="KeyError: 'X'", file="/app/a.py", line=7)
    outcome = init_outcome(failure)
    assert outcome.status is JobStatus.FAILED
    assert "prewarm failed" in outcome.error
    assert "/app/a.py:7" in outcome.error
