"""What OpenTelemetry says about a process, found out once in the template for all that are forked from it.

livekit-agents has it found out in every job process, which starts and joins threads: a millisecond and a megabyte of
memory each. What a process does not share with the others, the id of its instance, it is given here.
"""

import os
import uuid
from typing import Any

from livekit.agents.telemetry import traces
from opentelemetry.sdk.resources import SERVICE_INSTANCE_ID, Resource

_KEPT = "_detected_resource"  # (pid, resource); versions that lack it find it out at the first use
_MORE_DETECTORS = "OTEL_EXPERIMENTAL_RESOURCE_DETECTORS"  # with "process" among them, say, every process differs


def find_resource() -> None:
    """In the template. Leaves no thread behind."""
    if _is_shared():
        traces._resource({})


def take_over_resource() -> None:
    """In a process: its template's, as if it had been found out here."""
    found: tuple[int, Any] | None = getattr(traces, _KEPT, None)
    if found is not None and _is_shared():
        setattr(traces, _KEPT, (os.getpid(), found[1]))


def give_own_id() -> None:
    """In a process that has a job now; an idle one would only have the memory for it."""
    found: tuple[int, Any] | None = getattr(traces, _KEPT, None)
    if found is not None and _is_shared():
        mine = Resource({SERVICE_INSTANCE_ID: str(uuid.uuid4())})
        setattr(traces, _KEPT, (found[0], found[1].merge(mine)))


def _is_shared() -> bool:
    return hasattr(traces, _KEPT) and hasattr(traces, "_resource") and os.environ.get(_MORE_DETECTORS, "otel") == "otel"
