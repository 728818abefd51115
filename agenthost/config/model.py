"""The configuration as the rest of the program sees it: frozen, complete, valid.

Nothing here reads a file, a clock or an environment. Defaults are not written here: they come from the field
table (`config/fields.py`), so a value has exactly one origin. Durations are float seconds (`math.inf` for
`forever`), sizes are bytes, ratios are 0..1.
"""

from collections.abc import Mapping
from datetime import tzinfo
from enum import Enum
from pathlib import Path
from typing import Any

from msgspec import Struct, field

from agenthost.config.conditions import Condition
from agenthost.jobs import JobType
from agenthost.values import Alike, Discreet

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
    SPAWN = "spawn"


class SessionHost(Enum):
    """Who gets at the session topic of livekit-agents: nobody, this host's guests, everybody in the room."""

    OFF = "off"
    OWN = "own"
    ROOM = "room"


class Imports(Enum):
    """Who imports the user's code: every process, or the template they are forked from."""

    OWN = "own"
    SHARED = "shared"


class Place(Struct, frozen=True, kw_only=True):
    """Where in which file a thing was written; lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Permissions(Struct, frozen=True, kw_only=True):
    """What the agent's participant may do. `can_publish_sources` None means every source."""

    can_publish: bool
    can_subscribe: bool
    can_publish_data: bool
    can_update_metadata: bool
    hidden: bool
    can_subscribe_metrics: bool
    can_publish_sources: tuple[str, ...] | None


class AcceptTemplate(Struct, frozen=True, kw_only=True):
    """Texts with `{job.id}`-like placeholders; None: not given here, the next level decides."""

    identity: str | None = None
    name: str | None = None
    metadata: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)


class RuleConfig(Alike, frozen=True, kw_only=True):
    """One rule as written. `when` is its condition, `ALWAYS` where none is given.

    `agent` names the agent whose code runs (implies accept). `permissions` holds only the keys written. `text` is the
    rule in one line, without its name and without what may be a secret.
    """

    not_compared = frozenset({"text"})

    name: str
    when: Condition
    action: Action
    agent: str | None = None
    accept: AcceptTemplate = AcceptTemplate()
    permissions: Mapping[str, Any] = field(default_factory=dict)
    place: Place | None = None
    text: str = ""


class Requests(Struct, frozen=True, kw_only=True):
    accept: AcceptTemplate
    rules: tuple[RuleConfig, ...]
    otherwise: Action
    handler: str | None


class CustomLoad(Struct, frozen=True, kw_only=True):
    """A user's load function (`module:attribute`) and the value at which the host counts as full."""

    callable: str
    limit: float


class LoadLimits(Struct, frozen=True, kw_only=True):
    """None: no such limit. Load is the largest fraction of a limit that is reached."""

    max_jobs: int | None = None
    cpu: Ratio | None = None
    memory: Ratio | None = None
    custom: CustomLoad | None = None


class Limits(Struct, frozen=True, kw_only=True):
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


class Prewarm(Struct, frozen=True, kw_only=True):
    """`shared`: once in the template, before forking, instead of in every process."""

    callable: str
    shared: bool


class Restart(Struct, frozen=True, kw_only=True):
    on_failure: bool
    attempts: int
    backoff: Seconds


class Recovery(Struct, frozen=True, kw_only=True):
    enabled: bool
    sweep: bool
    attempts: int


class AgentConfig(Discreet, frozen=True, kw_only=True):
    """One agent, with the top-level defaults already merged in. `env` is what the file adds, in full.

    `written` holds the dotted paths (`limits.memory`) of everything that somebody wrote, as opposed to defaults,
    `withheld` those of values that no log tells.
    """

    not_shown = frozenset({"env", "settings"})

    id: str
    agent_name: str
    type: JobType
    deployment: str
    register: bool
    entrypoint: str | None
    prewarm: Prewarm | None
    session_end: str | None
    env: Mapping[str, str]
    working_dir: Path
    arguments: tuple[str, ...]
    start_method: StartMethod
    imports: Imports
    unique_per_room: bool
    session_host: SessionHost
    permissions: Permissions
    requests: Requests
    load: LoadLimits
    num_idle_processes: int
    limits: Limits
    restart: Restart
    recovery: Recovery
    drain_timeout: Seconds
    log_level: str | None
    settings: Mapping[str, Any]
    place: Place
    written: frozenset[str] = frozenset()
    withheld: frozenset[str] = frozenset()


class LiveKitConfig(Discreet, frozen=True, kw_only=True):
    """Empty `url`: none was given anywhere (an error for `start`, the local server for `dev`).

    `secret_in_jobs` None: only the jobs of code for livekit-agents see the raw pair. `job_grants` are those of a job's
    own token for the server API.
    """

    not_shown = frozenset({"api_key", "api_secret"})

    url: str
    api_key: str
    api_secret: str
    proxy: str | None
    secret_in_jobs: bool | None
    job_grants: tuple[str, ...]


class LogConfig(Struct, frozen=True, kw_only=True):
    """`format` is auto, rich or json; `rename` maps our JSON field names to the wanted ones."""

    level: str
    levels: Mapping[str, str]
    format: str
    rename: Mapping[str, str]


class HttpConfig(Struct, frozen=True, kw_only=True):
    """None as `host`: no HTTP at all (`listen: none`). Port 0: any free one."""

    host: str | None
    port: int


class ReloadConfig(Struct, frozen=True, kw_only=True):
    watch: tuple[str, ...]
    paths: tuple[str, ...]
    debounce: Seconds
    rejoin: bool


class Expectation(Struct, frozen=True, kw_only=True):
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


class RequestExample(Struct, frozen=True, kw_only=True):
    """One entry of `tests:`. `request` is plain data by the paths of rules, `at` an ISO 8601 moment, None for now.

    `agent` is the id of the agent that gets the request, None for the only one.
    """

    name: str
    agent: str | None
    request: Mapping[str, Any]
    at: str | None
    expect: Expectation
    place: Place


class Config(Discreet, frozen=True, kw_only=True):
    """One valid file. `environment` is process environment + env_file, what jobs start from (before `env`);
    key and secret are not in it, whatever the variables are called.

    `control_socket` None is the default path, unless `control_disabled`. `examples` are the entries of `tests:`,
    `watched_files` every file that was read for this configuration, `withheld` the dotted paths of the host's values
    that no log tells. `code` is what `dev` was given instead of a file, "" where there is one: `folder` is where it was
    started then, and `file` the one that there might be.
    """

    not_shown = frozenset({"environment"})

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
    environment: Mapping[str, str]
    examples: tuple[RequestExample, ...] = ()
    watched_files: tuple[Path, ...] = ()
    withheld: frozenset[str] = frozenset()
    code: str = ""

    @property
    def identity(self) -> Path:
        """What commands find the host by: the file, or the code as if that was one in the folder."""
        return self.folder / self.code if self.code else self.file
