"""What is due for a running job, from its times alone."""

from msgspec.structs import replace

from agenthost.config.model import Limits
from agenthost.host.jobs.supervision import Concern, JobTimes, concerns

LIMITS = Limits(
    init=10,
    connect=10,
    unresponsive=60,
    shutdown=10,
    session_end=300,
    memory_warn=None,
    memory=None,
    max_duration=None,
    empty_room=None,
    open_files=None,
)


def times(**changes: float | None) -> JobTimes:
    return JobTimes(**({"started": 0.0, "heard": 0.0} | changes))  # type: ignore[arg-type]


def test_healthy_connected_job_is_no_concern() -> None:
    """Connected, heard a second ago: nothing is due, however long it runs."""
    assert concerns(times(connected=1.0, heard=5000.0), LIMITS, 5001.0) == []


def test_unconnected_job_is_warned_about_at_limits_connect() -> None:
    """Not before 10 s, and only as a warning."""
    assert concerns(times(heard=9.0), LIMITS, 9.9) == []
    assert concerns(times(heard=9.0), LIMITS, 10.0) == [Concern.NOT_CONNECTED]


def test_silence_first_shows_the_stacks_then_ends_the_job() -> None:
    """Five seconds: silent; limits.unresponsive: both, since one look is not the other."""
    assert concerns(times(connected=0.0), LIMITS, 4.9) == []
    assert concerns(times(connected=0.0), LIMITS, 5.0) == [Concern.SILENT]
    assert concerns(times(connected=0.0), LIMITS, 60.0) == [Concern.SILENT, Concern.UNRESPONSIVE]


def test_max_duration_counts_from_the_entrypoint() -> None:
    """However lively the job is."""
    limits = replace(LIMITS, max_duration=5.0)
    assert concerns(times(connected=0.0, heard=5.0), limits, 4.9) == []
    assert concerns(times(connected=0.0, heard=5.0), limits, 5.0) == [Concern.MAX_DURATION]


def test_empty_room_counts_from_when_the_last_person_left() -> None:
    """A person who comes back in time stops the clock; before the job joined it does not run."""
    limits = replace(LIMITS, empty_room=2.0)
    job = times(heard=100.0)
    job.people(0, 1.0)
    assert job.alone_since is None
    job.connected = 1.0
    job.people(0, 3.0)
    job.people(1, 4.0)
    job.people(0, 10.0)
    job.people(0, 11.0)
    assert concerns(job, limits, 11.9) == []
    assert concerns(job, limits, 12.0) == [Concern.EMPTY_ROOM]
