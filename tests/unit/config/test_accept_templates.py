"""Placeholders in the texts of `accept`."""

import pytest

from agenthost.config.accept_templates import Placeholder, check_accept, check_template, split_template
from agenthost.config.findings import Severity
from agenthost.jobs import JobType

NAME = ("requests", "accept", "name")
IDENTITY = ("requests", "accept", "identity")


@pytest.mark.parametrize(
    "text", ["", "Support", "{job.id}", "{job.metadata.a.b}", "{job.attributes.sip.x}", "{}", '{"a": 1}']
)
def test_known_placeholders_and_plain_braces_are_fine(text: str) -> None:
    """JSON needs no escaping."""
    assert check_template(text, NAME, JobType.ROOM) == []


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("{job.idd}", "unknown placeholder `{job.idd}`", "did you mean `{job.id}`?"),
        ("{identity}", "unknown placeholder `{identity}`", "did you mean `{participant.identity}`?"),
        ("{job.attributes}", "unknown placeholder", "`{job.attributes.NAME}`?"),
        ("{time.hour}", "unknown placeholder", "known are `{job.*}`"),
        ("{agent.jobs}", "unknown placeholder", ""),
        ("{{ job.id }}", "unknown placeholder `{{ job.id }}`", "write single braces: `{job.id}`"),
        ("{participant.name}", "no participant", "`{room.*}`"),
    ],
)
def test_wrong_placeholder_is_an_error_with_a_way_out(text: str, message: str, hint: str) -> None:
    """It would otherwise appear in the room as it stands."""
    (problem,) = check_template(text, NAME, JobType.ROOM)
    assert (problem.path, problem.code) == (NAME, "AH240")
    assert message in problem.message
    assert hint in problem.hint


@pytest.mark.parametrize("type", [JobType.PUBLISHER, JobType.PARTICIPANT])
@pytest.mark.parametrize(("text", "codes"), [("bot", ["AH242"]), ("bot-{room.name}", ["AH242"]), ("{job.id}", [])])
def test_identity_tells_jobs_of_one_room_apart(type: JobType, text: str, codes: list[str]) -> None:
    """Publisher and participant jobs share a room: one identity would push the others out."""
    assert codes == [problem.code for problem in check_template(text, IDENTITY, type)]


def test_identity_of_the_participant_is_unique_enough() -> None:
    """One job a participant, one identity a job."""
    assert check_template("for-{participant.identity}", IDENTITY, JobType.PARTICIPANT) == []


def test_fixed_identity_of_a_room_agent_is_a_warning() -> None:
    """It works as long as a room has one job."""
    (problem,) = check_template("bot", IDENTITY, JobType.ROOM)
    assert (problem.code, problem.severity) == ("AH243", Severity.WARNING)


def test_attributes_of_livekit_cannot_be_set() -> None:
    """`lk.` names are LiveKit's; the finding points at the name."""
    accept = {"identity": "a-{job.id}", "attributes": {"lk.agent.state": "x", "tier": "{job.nope}"}}
    found = check_accept(accept, ("accept",), JobType.ROOM)
    expected = [
        (("accept", "attributes", "lk.agent.state"), "AH241", True),
        (("accept", "attributes", "tier"), "AH240", False),
    ]
    assert expected == [(problem.path, problem.code, problem.at_key) for problem in found]


def test_values_of_another_type_are_left_to_the_schema() -> None:
    """One cause, one finding."""
    assert check_accept({"name": 7, "attributes": ["x"]}, ("accept",), JobType.ROOM) == []


def test_template_is_split_into_text_and_placeholders() -> None:
    """Text between and around them is kept."""
    parts = split_template("a {job.id}{agent.id} b")
    assert [part.name if isinstance(part, Placeholder) else part for part in parts] == [
        "a ",
        "job.id",
        "agent.id",
        " b",
    ]
