"""The host's counters."""

from agenthost.metrics import JobCount, Metrics, OfferCount, RecoveryCount


def test_each_combination_is_counted_by_itself() -> None:
    """Agents, outcomes, answers and reasons do not mix."""
    metrics = Metrics()
    metrics.job_ended("a", outcome="failed")
    metrics.job_ended("a", outcome="failed")
    metrics.job_ended("b", outcome="failed")
    metrics.offer_answered("a", answer="reject", reason="full")
    metrics.offer_answered("a", answer="accept")
    assert metrics.jobs() == (
        JobCount(agent="a", outcome="failed", count=2),
        JobCount(agent="b", outcome="failed", count=1),
    )
    assert metrics.offers() == (
        OfferCount(agent="a", answer="reject", reason="full", count=1),
        OfferCount(agent="a", answer="accept", reason="", count=1),
    )


def test_dispatches_made_anew_are_counted_by_cause() -> None:
    """And jobs that were given up by themselves."""
    metrics = Metrics()
    metrics.dispatched_again("a", cause="restart")
    metrics.dispatched_again("a", cause="recovery")
    metrics.dispatched_again("a", cause="recovery")
    metrics.given_up("b")
    assert metrics.recoveries() == (
        RecoveryCount(agent="a", cause="restart", count=1),
        RecoveryCount(agent="a", cause="recovery", count=2),
    )
    assert (metrics.jobs_given_up("a"), metrics.jobs_given_up("b")) == (0, 1)
