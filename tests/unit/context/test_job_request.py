"""`JobRequest`: the answers of a request handler."""

import pytest
from livekit.protocol.agent import Job
from livekit.protocol.models import ParticipantInfo

from agenthost.context.job_request import Appearance, JobRequest, Rejection

PROPOSAL = Appearance(identity="agent-1", name="Support", metadata="m", attributes={"tier": "gold"})


def _request(answers: list[Appearance | Rejection], job: Job | None = None) -> JobRequest:
    return JobRequest(job=job or Job(id="AJ_1"), proposal=PROPOSAL, answer=answers.append)


async def test_empty_identity_is_as_good_as_none() -> None:
    """livekit-agents' code writes identity="" for "make one up"; the file's is taken."""
    answers: list[Appearance | Rejection] = []
    await _request(answers).accept(identity="", name="Ben")
    assert answers == [Appearance(identity="agent-1", name="Ben", metadata="m", attributes={"tier": "gold"})]


async def test_second_answer_is_refused() -> None:
    """The first one has left already."""
    answers: list[Appearance | Rejection] = []
    request = _request(answers)
    await request.reject(terminate=False)
    with pytest.raises(RuntimeError, match="answered already"):
        await request.accept()
    assert answers == [Rejection(terminate=False)]
    assert request.answered


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"identity": 7}, TypeError, r"accept\(identity=…\) must be a text, not int"),
        ({"name": b"x"}, TypeError, r"accept\(name=…\) must be a text, not bytes"),
        ({"metadata": {"a": 1}}, TypeError, r"accept\(metadata=…\) must be a text, not dict"),
        ({"attributes": {"n": 1}}, TypeError, "'n' must be a text with a text as its value"),
        ({"attributes": {1: "n"}}, TypeError, "1 must be a text"),
        ({"attributes": {"lk.agent_name": "x"}}, ValueError, "`lk.agent_name` is reserved"),
        ({"metadata": "x" * 1024 * 1024}, ValueError, r"nobody can join with \d+ bytes of texts"),
    ],
)
async def test_what_cannot_be_a_participants_is_refused(
    given: dict[str, object], error: type[Exception], message: str
) -> None:
    """At the line of the handler, not at the server; and the request can still be answered."""
    answers: list[Appearance | Rejection] = []
    request = _request(answers)
    with pytest.raises(error, match=message):
        await request.accept(**given)  # type: ignore[arg-type]
    assert not request.answered
    await request.accept()
    assert answers == [PROPOSAL]


def test_publisher_is_the_participant_the_job_is_about() -> None:
    """None for room jobs."""
    assert _request([]).publisher is None
    publisher = _request([], Job(participant=ParticipantInfo(identity="anna"))).publisher
    assert publisher is not None
    assert publisher.identity == "anna"


def test_personal_data_is_in_no_representation() -> None:
    """Metadata and attributes may be logged by nobody."""
    assert "gold" not in repr(PROPOSAL)
    assert "metadata" not in repr(PROPOSAL)
