"""What every process below the host needs of it: somebody who reaps, somebody who knows whom the kernel took, a log."""

from msgspec import Struct, field

from agenthost.logs.events import EventLogger
from agenthost.processes.cause_of_death import OomWatch
from agenthost.processes.reaper import Reaper


class ProcessHome(Struct, frozen=True, kw_only=True):
    reaper: Reaper
    log: EventLogger
    oom: OomWatch = field(default_factory=OomWatch)
