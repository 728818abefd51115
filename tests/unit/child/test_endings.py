"""`endings`: which outcome each cause has."""

import pytest
from livekit.rtc import DisconnectReason

from agenthost.child.endings import disconnected, raised, stopped, succeeded
from agenthost.ipc.messages import Ended
from agenthost.jobs import OutcomeKind


def test_shutdown_is_a_success_with_its_reason() -> None:
    """`ctx.shutdown(reason)`."""
    assert succeeded("done").message() == Ended(kind="succeeded", reason="done")


def test_endless_reason_of_user_code_is_cut() -> None:
    """A message to the host has its limit, and a job that says more would look crashed."""
    assert len(succeeded("x" * 20_000_000).reason) < 2100


def test_stop_of_the_host_is_told_apart() -> None:
    """Termination, max_duration, drain deadline: a success on the wire, another word in the log."""
    assert stopped("max duration").message() == Ended(kind="stopped", reason="max duration")


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (DisconnectReason.CLIENT_INITIATED, "room left"),
        (DisconnectReason.DUPLICATE_IDENTITY, "replaced by a participant of the same identity"),
        (DisconnectReason.PARTICIPANT_REMOVED, "agent removed"),
        (DisconnectReason.ROOM_DELETED, "room deleted"),
        (DisconnectReason.ROOM_CLOSED, "room closed"),
    ],
)
def test_room_that_ended_is_a_success(reason: int, text: str) -> None:
    """Whoever ended it: the job has nothing left to do."""
    assert disconnected(reason).message() == Ended(kind="succeeded", reason=text)


@pytest.mark.parametrize("reason", sorted(set(DisconnectReason.values()) - {1, 2, 4, 5, 10}))
def test_any_other_disconnect_is_a_lost_room(reason: int) -> None:
    """What is not a known end counts as a lost connection, which may be restarted."""
    ending = disconnected(reason)
    assert (ending.kind, ending.reason) == (OutcomeKind.FAILED, "room lost")
    assert ending.error.startswith("room lost: the connection to the LiveKit server could not be kept or restored")


def test_lost_room_names_the_cause_where_there_is_one() -> None:
    """Also a reason that this version of livekit.rtc does not know."""
    assert disconnected(DisconnectReason.SIGNAL_CLOSE).error.endswith("restored (signal close)")
    assert disconnected(DisconnectReason.UNKNOWN_REASON).error.endswith("restored")
    assert disconnected(4711).error.endswith("restored (reason 4711)")


def test_exception_is_a_failure_with_type_message_and_traceback() -> None:
    """`error` goes over the wire, the traceback into the log."""
    try:
        raise ValueError("boom")
    except ValueError as error:
        ending = raised(error)
    assert (ending.kind, ending.reason, ending.error) == (OutcomeKind.FAILED, "entrypoint failed", "ValueError: boom")
    assert ending.traceback.endswith("ValueError: boom")


@pytest.mark.parametrize("code", [None, 0])
def test_exit_without_an_error_is_a_success(code: int | None) -> None:
    """`sys.exit()` is a way to say: done."""
    assert raised(SystemExit(code)).kind is OutcomeKind.SUCCEEDED


@pytest.mark.parametrize("error", [SystemExit(3), SystemExit("no key"), KeyboardInterrupt()])
def test_exit_with_an_error_is_a_failure(error: BaseException) -> None:
    """Any other exit is told like an exception."""
    assert raised(error).kind is OutcomeKind.FAILED
