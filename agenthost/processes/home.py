"""What every process below the host needs of it: somebody who reaps, and a log."""

from dataclasses import dataclass

from agenthost.logs.events import EventLogger
from agenthost.processes.reaper import Reaper


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessHome:
    reaper: Reaper
    log: EventLogger
