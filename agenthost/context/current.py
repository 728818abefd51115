"""Which job the running code belongs to. Runs in job processes; set once, before the entrypoint is called."""

from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal, overload

if TYPE_CHECKING:
    from agenthost.context.job_context import JobContext

_current: "ContextVar[JobContext | None]" = ContextVar("agenthost_job_context", default=None)


@overload
def get_job_context(*, required: Literal[True] = True) -> "JobContext": ...


@overload
def get_job_context(*, required: bool) -> "JobContext | None": ...


def get_job_context(*, required: bool = True) -> "JobContext | None":
    """The context of the job that the calling code runs in, also in tasks it started and in `asyncio.to_thread`.

    Outside of a job: RuntimeError, or None when not `required` (default: it is).
    """
    context = _current.get()
    if context is None and required:
        raise RuntimeError(
            "get_job_context() found no job: call it from code that the entrypoint runs, "
            "not at import and not in a thread of your own (pass ctx there)"
        )
    return context


def set_job_context(context: "JobContext") -> None:
    """Make `context` the one that all code started from here on gets."""
    _current.set(context)
