"""What the host knows about itself at one moment: frozen values for HTTP, metrics and the command line.

The host makes one `HostStatus` when somebody asks; nothing here is kept, and readiness is derived, never stored.
"""

from collections.abc import Mapping
from enum import Enum

from msgspec import Struct, field

from agenthost.config.findings import Finding
from agenthost.differences import Difference
from agenthost.jobs import JobType
from agenthost.values import Discreet


class HostState(Enum):
    """The life of a host: STARTING → RUNNING → DRAINING → STOPPED."""

    STARTING = "starting"
    RUNNING = "running"
    DRAINING = "draining"
    STOPPED = "stopped"


BROKEN_AFTER_FAILURES = 3
"""So many processes in a row that did not get ready, and none that waits: the next job would fail, too."""


class LoadPart(Struct, frozen=True, kw_only=True):
    """One limit of `load` and how much of it is used, both in the limit's own unit (jobs, or a ratio 0..1)."""

    name: str  # max_jobs | cpu | memory | custom
    used: float
    limit: float

    @property
    def fraction(self) -> float:
        """1.0: the limit is reached. May be more."""
        return self.used / self.limit if self.limit else 1.0


class GenerationStatus(Struct, frozen=True, kw_only=True):
    """One generation of an agent's code that new jobs get, or that old ones still run on.

    `since` is when it began to get jobs, in seconds since the epoch; `current` is True for the one that gets them now.
    """

    number: int
    jobs: int = 0
    since: float = 0.0
    current: bool = True


class RegistrationStatus(Struct, frozen=True, kw_only=True):
    """One registration of an agent. `state` is lower case: connecting, registered, draining, closed.

    One that is draining was replaced; it stays open until the last of its `jobs` has ended.
    """

    agent_name: str
    type: JobType
    deployment: str = ""
    url: str = ""
    state: str = "connecting"
    worker_id: str = ""
    jobs: int = 0


class AgentStatus(Struct, frozen=True, kw_only=True):
    """One agent. `registered` is what the LiveKit server was last heard to say; `registers` whether it is asked at all.

    `slots_total` None: no limit of its own. `slots_used` counts accepted jobs that have not started yet, `jobs` those
    that run, `idle` the processes that wait, `failures` those in a row that did not get ready. `load` is the largest
    fraction of a limit, 0 where there is none.
    `generations` and `registrations` hold the current one and the older ones that still have jobs, newest first.
    One that a reload `removed` is here as long as a job of it runs: it takes no more, and has no current ones.
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
    failures: int = 0
    slots_total: int | None = None
    slots_used: int = 0
    full: bool = False
    load: float = 0.0
    load_parts: tuple[LoadPart, ...] = ()
    generations: tuple[GenerationStatus, ...] = ()
    registrations: tuple[RegistrationStatus, ...] = ()
    removed: bool = False

    @property
    def slots_free(self) -> int | None:
        """How many more jobs the agent may take; None: any number."""
        return None if self.slots_total is None else max(0, self.slots_total - self.slots_used)

    @property
    def starts(self) -> bool:
        """Whether a job has a process to run in, as far as is known."""
        return self.failures < BROKEN_AFTER_FAILURES or self.idle > 0


class ReloadStatus(Struct, frozen=True, kw_only=True):
    """The last reload. `at` is when it ended, in seconds since the epoch; `message` one sentence about how."""

    ok: bool
    at: float
    message: str


class HostStatus(Struct, frozen=True, kw_only=True):
    """The whole host. `last_reload` is None when there was none; `file` is the configuration it runs, or
    the code that it runs without one.

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
    last_reload: ReloadStatus | None = None
    log_lines_dropped: int = 0
    pid: int = 0
    file: str = ""

    @property
    def healthy(self) -> bool:
        """The process does its work (also while it drains, or while the LiveKit server is away)."""
        return self.state is not HostState.STOPPED

    @property
    def ready(self) -> bool:
        """Running, and at least one agent is registered whose processes start: new jobs can come."""
        return self.reason == ""

    @property
    def reason(self) -> str:
        """Why the host is not ready, without any name in it; "" when it is."""
        if self.state is not HostState.RUNNING:
            return str(self.state.value)
        if not any(agent.registered for agent in self.agents):
            return "not registered with the LiveKit server"
        if not any(agent.registered and agent.starts for agent in self.agents):
            return "job processes do not start"
        return ""

    @property
    def slots_free(self) -> int | None:
        """How many more jobs the host may take; None: any number."""
        return None if self.slots_total is None else max(0, self.slots_total - self.slots_used)

    @property
    def reload_succeeded(self) -> bool | None:
        """None when there was no reload yet."""
        return None if self.last_reload is None else self.last_reload.ok

    @property
    def jobs(self) -> int:
        return sum(agent.jobs for agent in self.agents)

    @property
    def idle(self) -> int:
        return sum(agent.idle for agent in self.agents)


class ChangeLine(Struct, frozen=True, kw_only=True):
    """What a reload does, or would do, to one agent (or, with `agent` empty, to the whole host).

    `kind` is kept, live, new registration, new generation, added, removed or base. `reasons` are keys (`limits.memory`)
    or short phrases (`code`), `differences` what is known of them: values, files; `jobs` is how many jobs of the agent
    run now, on code or settings that they keep.
    """

    agent: str
    kind: str
    reasons: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()
    jobs: int = 0

    @property
    def told(self) -> tuple[Difference, ...]:
        """One for each reason; without values where nothing more is known."""
        known = {one.path: one for one in self.differences}
        return tuple(known.get(reason) or Difference(path=reason) for reason in self.reasons)

    @property
    def changes(self) -> bool:
        """Whether anything is different afterwards."""
        return self.kind != "kept"


class Guest(Discreet, frozen=True, kw_only=True):
    """Somebody the host has made up: a token to join a room with, as an identity that nobody else has."""

    not_shown = frozenset({"token"})

    url: str
    token: str
    identity: str


class PlanReport(Discreet, frozen=True, kw_only=True):
    """What a reload would do now. Not `ok`: it would fail, and change nothing, because of `error` and `findings`.

    `invalid`: the file or the user's code is why, and trying again without an edit is of no use.
    `source` is the text of `file` without secrets, for showing findings in it; `traceback_text` the user's own
    traceback, where their code failed. `seconds` is how long it took to find out.
    """

    not_shown = frozenset({"source"})

    ok: bool
    changes: tuple[ChangeLine, ...] = ()
    error: str = ""
    invalid: bool = False
    findings: tuple[Finding, ...] = ()
    file: str = ""
    source: str = ""
    traceback_text: str = ""
    seconds: float = 0.0

    @property
    def has_changes(self) -> bool:
        return any(line.changes for line in self.changes)


class ReloadReport(PlanReport, frozen=True, kw_only=True):
    """What a reload did. Not `ok`: nothing was changed. `refused`: it was not even tried (the host drains).

    `undone`: what the file says and could not be done, and why; none of it is in `changes`. The next one tries again.
    """

    refused: bool = False
    undone: Mapping[str, str] = field(default_factory=dict)
