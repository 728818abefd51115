"""Why a job ends, as values: which outcome and reason each cause has. Pure; runs in job processes.

ctx.shutdown, room closed, agent removed …   succeeded
the host asked (StopJob)                     stopped
the entrypoint raised, connection lost       failed
"""

from livekit.rtc import DisconnectReason
from msgspec import Struct

from agenthost.child.user_errors import MAX_TEXT, error_text, traceback_text
from agenthost.ipc.messages import Ended
from agenthost.jobs import OutcomeKind
from agenthost.texts import cut

_LEFT = {
    DisconnectReason.CLIENT_INITIATED: "room left",
    DisconnectReason.DUPLICATE_IDENTITY: "replaced by a participant of the same identity",
    DisconnectReason.PARTICIPANT_REMOVED: "agent removed",
    DisconnectReason.ROOM_DELETED: "room deleted",
    DisconnectReason.ROOM_CLOSED: "room closed",
}


class Ending(Struct, frozen=True, kw_only=True):
    """The outcome of a job, decided when it begins to end. `error` is for the wire, `traceback` for the log."""

    kind: OutcomeKind
    reason: str
    error: str = ""
    traceback: str = ""

    def message(self) -> Ended:
        return Ended(kind=self.kind.value, reason=self.reason, error=self.error, traceback=self.traceback)


def succeeded(reason: str) -> Ending:
    """`reason` may be user code's."""
    return Ending(kind=OutcomeKind.SUCCEEDED, reason=cut(reason, MAX_TEXT))


def stopped(reason: str) -> Ending:
    return Ending(kind=OutcomeKind.STOPPED, reason=reason)


def raised(error: BaseException) -> Ending:
    """User code raised. `sys.exit()` without a code, or with 0, is a way to say: done."""
    if isinstance(error, SystemExit) and not error.code:
        return succeeded("sys.exit() was called")
    return Ending(
        kind=OutcomeKind.FAILED,
        reason="entrypoint failed",
        error=error_text(error),
        traceback=cut(traceback_text(error)),
    )


def disconnected(reason: int) -> Ending:
    """The room was left for good. `reason` is livekit.rtc's DisconnectReason; unknown ones count as a lost connection.

    An identity taken over by another participant is no failure: restarting would only take it back, in turn.
    """
    if reason in _LEFT:
        return succeeded(_LEFT[DisconnectReason.ValueType(reason)])
    error = f"room lost: the connection to the LiveKit server could not be kept or restored{_cause(reason)}"
    return Ending(kind=OutcomeKind.FAILED, reason="room lost", error=error)


def _cause(reason: int) -> str:
    """livekit.rtc gives no reason when it has given up reconnecting, which is the usual case."""
    if reason == DisconnectReason.UNKNOWN_REASON:
        return ""
    if reason not in DisconnectReason.values():
        return f" (reason {reason})"
    return f" ({DisconnectReason.Name(DisconnectReason.ValueType(reason)).lower().replace('_', ' ')})"
