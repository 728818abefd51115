"""The paths that `when` may name."""

import pytest

from agenthost.config.problems import Problem
from agenthost.config.subjects import KINDS, Subject, SubjectKind, find_subject, parse_subject, suggest_subject
from agenthost.jobs import JobType

PLACE = ("when", "x")


@pytest.mark.parametrize("text", KINDS)
def test_every_known_path_is_its_own_name(text: str) -> None:
    """A subject prints as it was written."""
    assert text == str(find_subject(text))


def test_attribute_names_keep_their_dots() -> None:
    """After `attributes.` the rest is one name: SIP attributes have dots."""
    expected = Subject(root="participant.attributes", kind=SubjectKind.ATTRIBUTE, keys=("sip.phoneNumber",))
    assert expected == find_subject("participant.attributes.sip.phoneNumber")


def test_metadata_path_leads_into_the_json() -> None:
    """After `metadata.` each dot is a level of the JSON."""
    expected = Subject(root="job.metadata", kind=SubjectKind.JSON, keys=("customer", "tier"))
    assert expected == find_subject("job.metadata.customer.tier")


@pytest.mark.parametrize("text", ["", "room", "room.", "room.nam", "room.name.x", "job.metadata.", "job.metadata.a..b"])
def test_other_paths_are_unknown(text: str) -> None:
    """No path is guessed."""
    assert find_subject(text) is None


@pytest.mark.parametrize(
    ("written", "suggestion"),
    [
        ("room.nam", "room.name"),
        ("Room.Name", "room.name"),
        ("room.participants", "room.num_participants"),
        ("job.metdata.tier", "job.metadata.tier"),
        ("metadata.tier", "job.metadata.tier"),
        ("job.attribute.sip.a", "job.attributes.sip.a"),
        ("time.hours", "time.hour"),
        ("something.else", ""),
    ],
)
def test_unknown_path_suggests_the_closest(written: str, suggestion: str) -> None:
    """A misspelt path is answered with the one that was meant."""
    assert suggestion == suggest_subject(written)


def test_unknown_path_is_a_problem_at_its_key() -> None:
    """The problem points at the key and can be fixed there."""
    problem = parse_subject("room.nam", PLACE, JobType.ROOM)
    assert isinstance(problem, Problem)
    assert (problem.path, problem.code, problem.at_key, problem.fix) == (PLACE, "AH230", True, "room.name")


def test_unknown_path_under_a_known_root_lists_only_its_paths() -> None:
    """Nobody reads a list of twenty paths to find the six of a room."""
    problem = parse_subject("room", PLACE, JobType.ROOM)
    assert isinstance(problem, Problem)
    assert "`room.age`" in problem.hint
    assert "job." not in problem.hint


@pytest.mark.parametrize("type", [JobType.PUBLISHER, JobType.PARTICIPANT])
def test_participant_is_known_where_jobs_have_one(type: JobType) -> None:
    """`participant.*` works for publisher and participant agents."""
    assert isinstance(parse_subject("participant.identity", PLACE, type), Subject)


def test_participant_is_refused_for_room_jobs() -> None:
    """Jobs of `type: room` have no participant, so the rule could never match."""
    problem = parse_subject("participant.identity", PLACE, JobType.ROOM)
    assert isinstance(problem, Problem)
    assert problem.code == "AH231"


def test_all_attributes_are_not_one() -> None:
    """`job.attributes` alone asks for a name."""
    problem = parse_subject("job.attributes", PLACE, JobType.ROOM)
    assert isinstance(problem, Problem)
    assert problem.hint == "write `job.attributes.NAME`"
