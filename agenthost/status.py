"""What the host knows about itself at one moment: frozen values for HTTP, metrics and the command line.

The host makes one `HostStatus` when somebody asks; nothing here is kept, and readiness is derived, never stored.
"""

from dataclasses import dataclass
from enum import Enum

from agenthost.jobs import JobType


class HostState(Enum):
    """The life of a host: STARTING → RUNNING → DRAINING → STOPPED."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPart:
    """One limit of `load` and how much of it is used, both in the limit's own unit (jobs, or a ratio 0..1)."""

    name: str  # max_jobs | cpu | memory | custom
    used: float
    limit: float

    @property
    def fraction(self) -> float:
        """1.0: the limit is reached. May be more."""
        return self.used / self.limit if self.limit else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentStatus:
    """One agent. `registered` is what the LiveKit server was last heard to say; `registers` whether it is asked at all.

    `slots_total` None: no limit of its own. `slots_used` counts accepted jobs that have not started yet, `jobs` those
    that run, `idle` the processes that wait. `load` is the largest fraction of a limit, 0 where there is none.
    """

    id: str
    agent_name: str
    type: JobType
    registers: bool = True
    registered: bool = False
    worker_id: str = ""
    generation: int = 1
    jobs: int = 0
    idle: int = 0
    slots_total: int | None = None
    slots_used: int = 0
    full: bool = False
    load: float = 0.0
    load_parts: tuple[LoadPart, ...] = ()

    @property
    def slots_free(self) -> int | None:
        """How many more jobs the agent may take; None: any number."""
        return None if self.slots_total is None else max(0, self.slots_total - self.slots_used)


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStatus:
    """The whole host. `reload_succeeded` is about the last reload, None when there was none.

    `started_at` is in seconds since the epoch; `slots_*`, `full` and `load*` are those of the host's own `load`.
    """

    state: HostState
    version: str
    agents: tuple[AgentStatus, ...] = ()
    started_at: float = 0.0
    slots_total: int | None = None
    slots_used: int = 0
    full: bool = False
    load: float = 0.0
    load_parts: tuple[LoadPart, ...] = ()
    reload_succeeded: bool | None = None
    log_lines_dropped: int = 0

    @property
    def healthy(self) -> bool:
        """The process does its work (also while it drains, or while the LiveKit server is away)."""
        return self.state is not HostState.STOPPED

    @property
    def ready(self) -> bool:
        """Running, and at least one agent is registered: new jobs can come."""
        return self.reason == ""

    @property
    def reason(self) -> str:
        """Why the host is not ready, without any name in it; "" when it is."""
        if self.state is not HostState.RUNNING:
            return str(self.state.value)
        if not any(agent.registered for agent in self.agents):
            return "not registered with the LiveKit server"
        return ""

    @property
    def slots_free(self) -> int | None:
        """How many more jobs the host may take; None: any number."""
        return None if self.slots_total is None else max(0, self.slots_total - self.slots_used)

    @property
    def jobs(self) -> int:
        return sum(agent.jobs for agent in self.agents)

    @property
    def idle(self) -> int:
        return sum(agent.idle for agent in self.agents)
