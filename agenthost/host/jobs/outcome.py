"""How a job ended, from what the host knows when its process is gone. Pure: the end-of-a-job table of the design."""

from msgspec import Struct

from agenthost.ipc.messages import Ended, InitFailed
from agenthost.jobs import JobOutcome, OutcomeKind


class StopIntent(Struct, frozen=True, kw_only=True):
    """The host decided to end the job: `kind` STOPPED is a success on the wire, the others are failures.

    `error` is what a failure is told as; "": as its reason.
    """

    reason: str
    kind: OutcomeKind = OutcomeKind.STOPPED
    error: str = ""


def outcome_of(*, last_words: Ended | None, intent: StopIntent | None, killed_because: str, death: str) -> JobOutcome:
    """`death` is how the process itself ended (`exit code 3`, `killed by signal SIGKILL …`)."""
    if intent is not None and intent.kind is not OutcomeKind.STOPPED:
        causes = [cause for cause in (intent.error, killed_because) if cause]
        return JobOutcome(kind=intent.kind, reason=intent.reason, error="; ".join(causes) or intent.reason)
    if last_words is not None:
        return JobOutcome(kind=OutcomeKind(last_words.kind), reason=last_words.reason, error=last_words.error)
    if intent is not None:
        return JobOutcome(kind=OutcomeKind.STOPPED, reason=intent.reason)
    if killed_because:
        return JobOutcome(kind=OutcomeKind.TIMED_OUT, reason="killed", error=killed_because)
    return JobOutcome(kind=OutcomeKind.CRASHED, reason="crashed", error=f"the job's process ended: {death}")


def init_outcome(failure: InitFailed) -> JobOutcome:
    """User code failed before the entrypoint was called."""
    where = f" ({failure.file}:{failure.line})" if failure.file else ""
    return JobOutcome(
        kind=OutcomeKind.FAILED,
        reason=f"{failure.phase} failed",
        error=f"{failure.phase} failed: {failure.error}: {failure.message}{where}",
    )
