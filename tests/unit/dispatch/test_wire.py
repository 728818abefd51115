"""The worker protocol's bytes, against livekit's own classes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.protocol import agent, models

from agenthost.dispatch import wire
from agenthost.jobs import Accept, JobStatus, JobType, Reject
from agenthost.logs.events import FIELDS
from agenthost.logs.seldom import Seldom
from agenthost.texts import cut, encodable
from tests.support.any_text import any_text


def sent(data: bytes) -> agent.WorkerMessage:
    return agent.WorkerMessage.FromString(data)


def test_offer_keeps_everything_rules_can_ask_for() -> None:
    """Room, participant, metadata, attributes; and the message itself for the job."""
    message = agent.ServerMessage()
    job = message.availability.job
    job.id, job.dispatch_id, job.type, job.metadata = "AJ_1", "AD_1", agent.JobType.JT_PUBLISHER, "m"
    job.agent_name, job.deployment = "support", "blue"
    job.attributes["tier"] = "gold"
    job.room.name, job.room.sid, job.room.creation_time_ms, job.room.num_participants = "r", "RM_1", 1500, 3
    job.participant.identity, job.participant.kind = "p", models.ParticipantInfo.Kind.SIP
    offer = wire.decode(message.SerializeToString())
    assert isinstance(offer, wire.Offer)
    assert (offer.job_id, offer.dispatch_id, offer.type, offer.metadata) == ("AJ_1", "AD_1", JobType.PUBLISHER, "m")
    assert (offer.agent_name, offer.deployment, dict(offer.attributes)) == ("support", "blue", {"tier": "gold"})
    assert (offer.room.name, offer.room.sid, offer.room.created_at, offer.room.num_participants) == (
        "r",
        "RM_1",
        1.5,
        3,
    )
    assert offer.participant is not None
    assert (offer.participant.identity, offer.participant.kind) == ("p", "sip")
    assert agent.Job.FromString(offer.encoded) == job


def test_room_job_has_no_participant() -> None:
    """An empty participant is none."""
    message = agent.ServerMessage()
    message.availability.job.id = "AJ_1"
    offer = wire.decode(message.SerializeToString())
    assert isinstance(offer, wire.Offer)
    assert offer.participant is None


def test_what_a_newer_server_says_is_ignored_by_name() -> None:
    """Never an error: a newer server must not end a host."""
    message = agent.ServerMessage()
    message.go_away.SetInParent()
    assert wire.decode(message.SerializeToString()) == wire.Ignored(kind="go_away")
    assert wire.decode(b"") == wire.Ignored(kind="empty")


def test_offer_of_a_newer_protocol_is_an_offer() -> None:
    """Kinds of participants, types and states that this host has no word for."""
    message = agent.ServerMessage()
    job = message.availability.job
    job.id, job.type, job.state.status, job.participant.kind, job.participant.state = "AJ_1", 99, 99, 99, 99  # type: ignore[assignment]
    offer = wire.decode(message.SerializeToString())
    assert isinstance(offer, wire.Offer)
    assert offer.participant is not None
    assert (offer.type, offer.participant.kind) == (JobType.ROOM, "unknown-99")


def test_garbage_is_unreadable() -> None:
    """Bytes that are no message at all."""
    assert wire.decode(b"\xff\xff garbage") == wire.Unreadable(error="what is not a LiveKit server message")


def test_answers() -> None:
    """Accept carries the participant; reject whether another worker may be asked."""
    accept = Accept(identity="i", name="n", metadata="m", attributes={"a": "b"})
    yes = sent(wire.answer("AJ_1", accept)).availability
    assert (yes.job_id, yes.available, yes.participant_identity, yes.participant_name) == ("AJ_1", True, "i", "n")
    assert (yes.participant_metadata, dict(yes.participant_attributes)) == ("m", {"a": "b"})
    no = sent(wire.answer("AJ_1", Reject(reason="x", terminate=True))).availability
    assert (no.available, no.terminate) == (False, True)


def test_statuses() -> None:
    """Job and worker statuses, and the registration."""
    failed = sent(wire.job_status("AJ_1", JobStatus.FAILED, "boom")).update_job
    assert (failed.job_id, failed.status, failed.error) == ("AJ_1", agent.JobStatus.JS_FAILED, "boom")
    full = sent(wire.worker_status(full=True, load=0.5, jobs=3)).update_worker
    assert (full.status, full.load, full.job_count) == (agent.WorkerStatus.WS_FULL, 0.5, 3)
    registration = sent(
        wire.register(agent_name="a", job_type=JobType.PARTICIPANT, deployment="blue", version="1")
    ).register
    assert (registration.agent_name, registration.type) == ("a", agent.JobType.JT_PARTICIPANT)
    assert (registration.deployment, registration.version) == ("blue", "1")
    assert not registration.HasField("allowed_permissions")
    simulated = sent(wire.simulate_job(JobType.PUBLISHER, "r", "p")).simulate_job
    assert (simulated.room.name, simulated.participant.identity) == ("r", "p")


@given(any_text, any_text, st.dictionaries(any_text, any_text, max_size=3))
def test_any_text_can_be_said(text: str, metadata: str, attributes: dict[str, str]) -> None:
    """Whatever an answer, an error or a name holds, there is a message, and it can be read."""
    accept = Accept(identity=text, name=text, metadata=metadata, attributes=attributes)
    answer = sent(wire.answer("AJ_1", accept)).availability
    assert (answer.participant_identity, answer.participant_name, answer.participant_metadata) == (
        encodable(text),
        encodable(text),
        encodable(metadata),
    )
    assert sent(wire.job_status("AJ_1", JobStatus.FAILED, text)).update_job.error == cut(
        encodable(text), wire.MAX_ERROR
    )
    assert sent(wire.simulate_job(JobType.ROOM, text, text)).simulate_job.room.name == encodable(text)
    registered = sent(wire.register(agent_name=text, job_type=JobType.ROOM, deployment=text, version="1")).register
    assert (registered.agent_name, registered.deployment) == (encodable(text), encodable(text))


def test_each_replaced_key_is_told_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A thousand offers of one sort are one line."""
    monkeypatch.setattr(wire, "_seldom", Seldom())
    for _ in range(3):
        wire.answer("AJ_1", Accept(identity="a", name="\ud83d", attributes={"who": "\ud83d"}))
    told = [getattr(record, FIELDS) for record in caplog.records if record.message == "text replaced"]
    assert [(fields["key"], fields["job_id"]) for fields in told] == [("name", "AJ_1"), ("attributes.who", "AJ_1")]


def test_what_the_server_will_refuse_is_told_beforehand(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It answers the join with a bare HTTP 500; its limits count bytes, and can be set."""
    monkeypatch.setattr(wire, "_seldom", Seldom())
    wire.answer("AJ_1", Accept(identity="i" * 256, metadata="m" * 512 * 1024))
    assert caplog.records == []
    wire.answer("AJ_2", Accept(identity="ü" * 129, metadata="m" * (512 * 1024 + 1)))
    told = [getattr(record, FIELDS) for record in caplog.records]
    assert [(fields["key"], fields["bytes"]) for fields in told] == [("identity", 258), ("metadata", 512 * 1024 + 1)]


def test_long_error_is_cut() -> None:
    """The server writes it into its own log."""
    error = sent(wire.job_status("AJ_1", JobStatus.FAILED, "e" * 3_000_000)).update_job.error
    assert len(error) < wire.MAX_ERROR + 100
    assert error.endswith("(cut, 3000000 characters)")
