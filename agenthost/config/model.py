"""The configuration as the rest of the program sees it: frozen, complete, valid.

Nothing here reads a file, a clock or an environment. Defaults are not written here: they come from the field
table (`config/fields.py`), so a value has exactly one origin. Durations are float seconds (`math.inf` for
`forever`), sizes are bytes, ratios are 0..1.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from enum import Enum
from pathlib import Path
from typing import Any

from agenthost.config.conditions import Condition
from agenthost.jobs import JobType

Seconds = float
Bytes = int
Ratio = float


class Action(Enum):
    """What a rule, or `otherwise`, does with an offer."""

    ACCEPT = "accept"
    REJECT = "reject"
    TERMINATE = "terminate"


class StartMethod(Enum):
    AUTO = "auto"
    FORK = "fork"
    SPAWN = "spawn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in which file a thing was written; lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Permissions:
    """What the agent's participant may do. `can_publish_sources` None means every source."""

    can_publish: bool
    can_subscribe: bool
    can_publish_data: bool
    can_update_metadata: bool
    hidden: bool
    can_subscribe_metrics: bool
    can_publish_sources: tuple[str, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptTemplate:
    """Texts with `{job.id}`-like placeholders; None: not given here, the next level decides."""

    identity: str | None = None
    name: str | None = None
    metadata: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleConfig:
    """One rule as written. `when` is its condition, `ALWAYS` where none is given.

    `agent` names the agent whose code runs (implies accept). `permissions` holds only the keys written. `text` is the
    rule in one line, without its name and without what may be a secret.
    """

    name: str
    when: Condition
    action: Action
    agent: str | None = None
    accept: AcceptTemplate = AcceptTemplate()
    permissions: Mapping[str, Any] = field(default_factory=dict)
    place: Place | None = None
    text: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Requests:
    accept: AcceptTemplate
    rules: tuple[RuleConfig, ...]
    otherwise: Action
    handler: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomLoad:
    """A user's load function (`module:attribute`) and the value at which the host counts as full."""

    callable: str
    limit: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadLimits:
    """None: no such limit. Load is the largest fraction of a limit that is reached."""

    max_jobs: int | None = None
    cpu: Ratio | None = None
    memory: Ratio | None = None
    custom: CustomLoad | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Time in seconds, memory in bytes; None: no limit."""

    init: Seconds
    connect: Seconds
    unresponsive: Seconds
    shutdown: Seconds
    session_end: Seconds
    memory_warn: Bytes | None
    memory: Bytes | None
    max_duration: Seconds | None
    empty_room: Seconds | None
    open_files: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prewarm:
    """`shared`: once in the template, before forking, instead of in every process."""

    callable: str
    shared: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    on_failure: bool
    attempts: int
    backoff: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    enabled: bool
    sweep: bool
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig:
    """One agent, with the top-level defaults already merged in. `env` is what the file adds, in full.

    `written` holds the dotted paths (`limits.memory`) of everything that somebody wrote, as opposed to defaults,
    `withheld` those of values that no log tells.
    """

    id: str
    agent_name: str
    type: JobType
    deployment: str
    register: bool
    entrypoint: str | None
    prewarm: Prewarm | None
    session_end: str | None
    env: Mapping[str, str] = field(repr=False)
    working_dir: Path
    start_method: StartMethod
    unique_per_room: bool
    permissions: Permissions
    requests: Requests
    load: LoadLimits
    num_idle_processes: int
    limits: Limits
    restart: Restart
    recovery: Recovery
    drain_timeout: Seconds
    log_level: str | None
    settings: Mapping[str, Any] = field(repr=False)
    place: Place
    written: frozenset[str] = frozenset()
    withheld: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveKitConfig:
    """Empty `url`: none was given anywhere (an error for `start`, the local server for `dev`).

    `secret_in_jobs` None: only the jobs of code for livekit-agents see the raw pair.
    """

    url: str
    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)
    proxy: str | None
    secret_in_jobs: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogConfig:
    """`format` is auto, rich or json; `rename` maps our JSON field names to the wanted ones."""

    level: str
    levels: Mapping[str, str]
    format: str
    rename: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConfig:
    """None as `host`: no HTTP at all (`listen: none`). Port 0: any free one."""

    host: str | None
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReloadConfig:
    watch: tuple[str, ...]
    paths: tuple[str, ...]
    debounce: Seconds
    rejoin: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What an example of `tests:` must come to; None (or empty) is not compared."""

    action: Action | None
    agent: str | None
    rule: str | None
    reason: str | None
    identity: str | None
    name: str | None
    metadata: str | None
    attributes: Mapping[str, str] | None
    permissions: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestExample:
    """One entry of `tests:`. `request` is plain data by the paths of rules, `at` an ISO 8601 moment, None for now.

    `agent` is the id of the agent that gets the request, None for the only one.
    """

    name: str
    agent: str | None
    request: Mapping[str, Any]
    at: str | None
    expect: Expectation
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """One valid file. `environment` is process environment + env_file, what jobs start from (before `env`);
    key and secret are not in it, whatever the variables are called.

    `control_socket` None is the default path, unless `control_disabled`. `examples` are the entries of `tests:`,
    `watched_files` every file that was read for this configuration, `withheld` the dotted paths of the host's values
    that no log tells.
    """

    file: Path
    folder: Path
    version: int
    livekit: LiveKitConfig
    log: LogConfig
    http: HttpConfig
    control_socket: str | None
    control_disabled: bool = False
    preload: tuple[str, ...]
    timezone: tzinfo
    reload: ReloadConfig
    load: LoadLimits
    drain_timeout: Seconds
    agents: tuple[AgentConfig, ...]
    environment: Mapping[str, str] = field(repr=False)
    examples: tuple[RequestExample, ...] = ()
    watched_files: tuple[Path, ...] = ()
    withheld: frozenset[str] = frozenset()
