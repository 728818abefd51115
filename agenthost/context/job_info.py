"""`JobInfo`: the facts of one job that user code can ask for, fixed when the job starts. Runs in job processes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from livekit.protocol.agent import Job


@dataclass(frozen=True, slots=True, kw_only=True)
class JobInfo:
    """`attempt` counts from 1; `settings` is the agent's `settings` in the file, as read when the job started."""

    job: "Job" = field(repr=False)
    url: str
    token: str = field(repr=False)
    worker_id: str
    agent: str
    attempt: int
    settings: Mapping[str, Any] = field(repr=False)
