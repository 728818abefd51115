"""Which ends are failures, how often a job comes back, and when a dispatch counts as served by nobody."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agenthost.config.model import Restart
from agenthost.jobs import JobOutcome, OutcomeKind
from agenthost.recovery.policy import REJOIN, Again, GiveUp, Patience, Service, Sightings, restart_of, service
from agenthost.recovery.values import DispatchInfo, Member

TWICE = Restart(on_failure=True, attempts=2, backoff=1.0)
NEVER = Restart(on_failure=False, attempts=2, backoff=1.0)
CRASH = JobOutcome(kind=OutcomeKind.CRASHED, reason="crashed", error="signal SIGKILL")
PERSON = Member(identity="caller")
DISPATCH = DispatchInfo(id="AD_1", room="lobby", agent_name="support")


def decide(
    outcome: JobOutcome, *, attempt: int = 0, leaving: str = "", policy: Restart = TWICE
) -> Again | GiveUp | None:
    return restart_of(outcome, leaving=leaving, attempt=attempt, policy=policy, jitter=0.0)


def failed(kind: OutcomeKind, reason: str) -> JobOutcome:
    return JobOutcome(kind=kind, reason=reason, error=reason)


@pytest.mark.parametrize(
    "outcome",
    [
        CRASH,
        failed(OutcomeKind.TIMED_OUT, "unresponsive"),
        failed(OutcomeKind.FAILED, "memory"),
        failed(OutcomeKind.FAILED, "entrypoint failed"),
        failed(OutcomeKind.FAILED, "prewarm failed"),
        failed(OutcomeKind.TIMED_OUT, "init exceeded"),
        failed(OutcomeKind.CRASHED, "not started"),
    ],
    ids=lambda outcome: outcome.reason,
)
def test_every_failure_is_restarted_whoever_is_in_the_room(outcome: JobOutcome) -> None:
    """The rows of the table that are failures; an agent that calls people out may be there first."""
    assert decide(outcome) == Again(attempt=1, delay=1.0, needs_people=False)


def test_lost_room_is_restarted_only_for_somebody() -> None:
    """A connection that broke for everybody leaves nobody to serve."""
    assert decide(failed(OutcomeKind.FAILED, "room lost")) == Again(attempt=1, delay=1.0, needs_people=True)


@pytest.mark.parametrize("kind", [OutcomeKind.SUCCEEDED, OutcomeKind.STOPPED])
def test_success_is_never_restarted(kind: OutcomeKind) -> None:
    """Whatever the reason says."""
    assert decide(JobOutcome(kind=kind, reason="room lost")) is None


def test_job_whose_code_was_replaced_comes_back_at_once_as_it_was() -> None:
    """Whatever the policy says, and uncounted: nothing had failed."""
    stopped = JobOutcome(kind=OutcomeKind.STOPPED, reason=REJOIN)
    assert decide(stopped, attempt=2, policy=NEVER) == Again(attempt=2, delay=0.0, needs_people=False)


def test_policy_never_is_obeyed() -> None:
    """The default."""
    assert decide(CRASH, policy=NEVER) is None


@pytest.mark.parametrize(
    ("leaving", "restarted"),
    [("", True), ("entrypoint failed", True), ("room lost", True), ("memory", True), ("done", False)],
)
@pytest.mark.parametrize("reason", ["crashed", "killed"])
def test_death_on_the_way_out_counts_by_why_the_job_was_leaving(reason: str, leaving: str, restarted: bool) -> None:
    """Who had said goodbye does not come back; who was leaving because of a failure does."""
    verdict = decide(failed(OutcomeKind.CRASHED, reason), leaving=leaving)
    assert isinstance(verdict, Again) is restarted


def test_attempts_double_the_wait_and_end() -> None:
    """Attempt by attempt, until it is given up."""
    assert decide(CRASH, attempt=1) == Again(attempt=2, delay=2.0, needs_people=False)
    assert decide(CRASH, attempt=2) == GiveUp(attempts=2)
    assert decide(CRASH, attempt=7) == GiveUp(attempts=7)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ([PERSON], Service.UNSERVED),
        ([], Service.NOBODY_THERE),
        ([Member(identity="rec", kind="egress")], Service.NOBODY_THERE),
        ([Member(identity="watcher", hidden=True)], Service.NOBODY_THERE),
        ([Member(identity="tel", kind="sip")], Service.UNSERVED),
        ([PERSON, Member(identity="a", kind="agent", agent_name="support")], Service.SERVED),
        ([PERSON, Member(identity="a", kind="agent", agent_name="support", hidden=True)], Service.SERVED),
        ([PERSON, Member(identity="a", kind="agent", agent_name="other")], Service.UNSERVED),
        ([PERSON, Member(identity="a", kind="agent", agent_name="")], Service.UNSERVED),
    ],
)
def test_service_is_told_by_who_is_in_the_room(members: list[Member], expected: Service) -> None:
    """The list of dispatches does not tell whether a job lives; its participants do, hidden agents included."""
    assert service(DISPATCH, members) is expected


def test_nameless_agent_serves_the_automatic_dispatch() -> None:
    """Its name is the empty one, not none."""
    automatic = DispatchInfo(id="AD_1", room="lobby", agent_name="")
    there = [PERSON, Member(identity="a", kind="agent", agent_name="")]
    assert service(automatic, there) is Service.SERVED
    assert service(automatic, [PERSON, Member(identity="a", kind="agent")]) is Service.UNSERVED


def test_offer_that_was_ended_for_good_is_nobodys() -> None:
    """`terminate` is the one end that the server remembers."""
    ended = DispatchInfo(id="AD_1", room="lobby", agent_name="support", ended=True)
    assert service(ended, [PERSON]) is Service.ENDED


def test_two_looks_apart_make_it_certain() -> None:
    """One look is not enough however old the dispatch is, nor are two that follow each other."""
    seen = Sightings(Patience(age=30.0, spacing=25.0))
    for now, certain in ((0.0, False), (24.9, False), (25.0, True)):
        seen.look("lobby", ["AD_1"], now=now)
        assert seen.is_certain("lobby", "AD_1", now=now, age=1000.0) is certain


def test_young_dispatch_waits_even_after_two_looks() -> None:
    """By the server's clock or by ours, whichever has seen it longer: a wrong clock neither hurries nor stops it."""
    seen = Sightings(Patience(age=30.0, spacing=25.0))
    seen.look("lobby", ["AD_1"], now=0.0)
    assert not seen.is_certain("lobby", "AD_1", now=26.0, age=-500.0)
    assert seen.is_certain("lobby", "AD_1", now=30.0, age=-500.0)


def test_look_that_found_it_served_starts_anew() -> None:
    """An agent that was there between two looks might only be reconnecting."""
    seen = Sightings(Patience())
    seen.look("lobby", ["AD_1"], now=0.0)
    seen.look("lobby", [], now=10.0)
    seen.look("lobby", ["AD_1"], now=40.0)
    assert not seen.is_certain("lobby", "AD_1", now=40.0, age=1000.0)


def test_old_sightings_are_forgotten() -> None:
    """Rooms come and go for months."""
    seen = Sightings(Patience())
    seen.look("old", ["AD_1"], now=0.0)
    seen.look("new", ["AD_2"], now=100.0)
    seen.forget_before(50.0)
    seen.look("old", ["AD_1"], now=101.0)
    assert not seen.is_certain("old", "AD_1", now=101.0, age=1000.0)
    assert seen.is_certain("new", "AD_2", now=130.0, age=1000.0)


@given(
    outcome=st.builds(JobOutcome, kind=st.sampled_from(OutcomeKind), reason=st.sampled_from(["crashed", "x"])),
    leaving=st.sampled_from(["", "done", "room lost"]),
    attempt=st.integers(0, 200),
    attempts=st.integers(1, 100),
    jitter=st.floats(0.0, 1.0),
)
def test_no_job_comes_back_more_often_than_allowed(
    outcome: JobOutcome, leaving: str, attempt: int, attempts: int, jitter: float
) -> None:
    """For any end, attempt and policy: the next attempt is one more and within the limit, its wait bounded."""
    policy = Restart(on_failure=True, attempts=attempts, backoff=1.0)
    verdict = restart_of(outcome, leaving=leaving, attempt=attempt, policy=policy, jitter=jitter)
    if isinstance(verdict, Again):
        assert verdict.attempt == attempt + 1 <= attempts
        assert 1.0 <= verdict.delay <= 375.0
