"""The host's counters."""

from agenthost.metrics import JobCount, Metrics, OfferCount


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
