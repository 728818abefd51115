"""`JobParts`: what a `JobContext` is made of, put together by the process that runs the job, which keeps them too."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agenthost.context.api import ApiAccess
from agenthost.context.job_info import JobInfo
from agenthost.context.job_process import JobProcess
from agenthost.context.participants import Participants

if TYPE_CHECKING:
    from agenthost.context.job_room import JobRoom

ShutdownCallback = Callable[..., Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobParts:
    """`end` is called with the reason of `ctx.shutdown`; `log_fields` is the mapping the log handler reads."""

    info: JobInfo
    process: JobProcess
    room: "JobRoom"
    participants: Participants
    api: ApiAccess
    end: Callable[[str], None]
    shutdown_callbacks: list[ShutdownCallback] = field(default_factory=list)
    log_fields: dict[str, Any] = field(default_factory=dict)
