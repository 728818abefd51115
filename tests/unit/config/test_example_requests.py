"""The request of a test, as an offer."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agenthost.config.example_requests import ExampleRequest, parse_request
from agenthost.config.problems import Problem
from agenthost.config.subjects import KINDS, SubjectKind
from agenthost.jobs import JobType, ParticipantInfo
from tests.support.values import make_agent

PATH = ("tests", 0, "request")


def parse(data: dict[str, Any], type: JobType = JobType.PARTICIPANT) -> tuple[ExampleRequest, list[Problem]]:
    return parse_request(data, PATH, make_agent(type=type, agent_name="desk", deployment="blue"), now=1000.0)


def test_empty_request_is_a_plain_offer_to_the_agent() -> None:
    """What is not written has a value that fills every placeholder of names and ids."""
    request, problems = parse({}, JobType.ROOM)
    assert problems == []
    assert (request.offer.job_id, request.offer.room.name, request.offer.room.sid) == (
        "AJ_test",
        "test-room",
        "RM_test",
    )
    assert (request.offer.agent_name, request.offer.deployment, request.offer.participant) == ("desk", "blue", None)
    assert request.offer.room.created_at == 1000.0


def test_request_of_a_participant_agent_has_one() -> None:
    """Its jobs always have a participant."""
    assert parse({})[0].offer.participant == ParticipantInfo(identity="test-participant")


VALUES: dict[SubjectKind, Any] = {SubjectKind.TEXT: "x", SubjectKind.NUMBER: 3, SubjectKind.SECONDS: "5m"}


@pytest.mark.parametrize("root", [root for root, kind in KINDS.items() if kind in VALUES and root != "job.type"])
def test_every_path_of_an_offer_can_be_written(root: str) -> None:
    """What a rule can read, a test can say."""
    plain, (request, problems) = parse({})[0], parse({root: VALUES[KINDS[root]]})
    assert problems == []
    assert request != plain


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"job.metadata": {"tier": "gold"}}, {"tier": "gold"}),
        ({"job.metadata": '{"tier": "gold"}'}, {"tier": "gold"}),
        ({"job.metadata": ["a"]}, ["a"]),
        ({"job.metadata.a.b": 1, "job.metadata.a.c": 2}, {"a": {"b": 1, "c": 2}}),
        ({"job.metadata": {"a": 1}, "job.metadata.b": 2}, {"a": 1, "b": 2}),
    ],
)
def test_metadata_is_json_however_it_is_written(data: dict[str, Any], expected: object) -> None:
    """As a mapping, as text, or path by path."""
    request, problems = parse(data)
    assert problems == []
    assert json.loads(request.offer.metadata) == expected


def test_writing_into_a_mapping_leaves_the_file_alone() -> None:
    """The same anchor may serve two tests."""
    shared = {"a": 1}
    parse({"job.metadata": shared, "job.metadata.b": 2})
    assert shared == {"a": 1}


def test_attributes_are_written_together_or_one_by_one() -> None:
    """Both ways, also mixed."""
    request, _ = parse({"job.attributes": {"a": "1"}, "job.attributes.sip.b": "2"})
    assert request.offer.attributes == {"a": "1", "sip.b": "2"}


@pytest.mark.parametrize(
    ("data", "code", "place"),
    [
        ({"room.nam": "a"}, "AH230", "room.nam"),
        ({"room.name": 7}, "AH225", "room.name"),
        ({"room.age": 300}, "AH225", "room.age"),
        ({"room.num_participants": "many"}, "AH225", "room.num_participants"),
        ({"room.num_participants": -1}, "AH225", "room.num_participants"),
        ({"agent.jobs": True}, "AH225", "agent.jobs"),
        ({"job.attributes": "a"}, "AH225", "job.attributes"),
        ({"job.attributes.a": 7}, "AH225", "job.attributes.a"),
        ({"job.type": "room"}, "AH225", "job.type"),
        ({"job.metadata": "text", "job.metadata.a": 1}, "AH225", "job.metadata.a"),
        ({"job.metadata.a": 1, "job.metadata.a.b": 1}, "AH225", "job.metadata.a.b"),
        ({"job.metadata": {"a": float("inf")}}, "AH225", "job.metadata"),
        ({"job.metadata.a": 10**5000}, "AH225", "job.metadata.a"),
        ({"time.hour": 8}, "AH225", "time.hour"),
        ({"sample": "10%"}, "AH225", "sample"),
    ],
)
def test_request_that_cannot_be_is_a_problem_at_its_key(data: dict[str, Any], code: str, place: str) -> None:
    """A test that tests something else than it says is no test."""
    (problem,) = parse(data)[1]
    assert (problem.path, problem.code) == ((*PATH, place), code)


@pytest.mark.parametrize("key", ["participant.identity", "participant.attributes"])
def test_room_jobs_have_no_participant(key: str) -> None:
    """As in rules."""
    (problem,) = parse({key: {}}, JobType.ROOM)[1]
    assert problem.code == "AH231"


def test_wrong_attribute_among_many_is_pointed_at() -> None:
    """The finding stands at the one that is no string."""
    (problem,) = parse({"job.attributes": {"a": "1", "b": 7}})[1]
    assert problem.path == (*PATH, "job.attributes", "b")


_VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from(["5m", 10**400])
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    max_leaves=4,
)
_PATHS = st.sampled_from([*KINDS, "job.metadata.a", "job.metadata.a.b", "room.metadata.x", "job.attributes.x", "nope"])


@given(st.dictionaries(_PATHS, _VALUES, max_size=4), st.sampled_from(JobType))
@settings(max_examples=100)
def test_whatever_is_written_is_a_request_or_problems(data: dict[str, Any], type: JobType) -> None:
    """Never an exception, and every problem at a key of the request."""
    _, problems = parse(data, type)
    assert all(problem.path[: len(PATH)] == PATH for problem in problems)
