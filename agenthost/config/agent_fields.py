"""The agent's half of the field table: every key that may stand inside an agent, and at the top as a default."""

from agenthost.config.fields import Apply, Field, Kind

LOG_LEVELS = ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
SOURCES = ("camera", "microphone", "screen_share", "screen_share_audio")
ACTIONS = ("accept", "reject", "terminate")


def accept_fields(prefix: str) -> tuple[Field, ...]:
    """How the agent's participant appears; used for `requests.accept` and for a rule's own `accept`."""
    own = prefix == "requests.accept"
    return (
        Field(
            path=prefix,
            kind=Kind.SECTION,
            apply=Apply.LIVE,
            description="How the agent's participant appears in the room. Placeholders: `{job.*}`, `{room.*}`, "
            "`{participant.*}`, `{agent.*}`; one that is empty at run time rejects the request.",
            examples=({"identity": "agent-{job.id}", "name": "Support"},),
        ),
        Field(
            path=f"{prefix}.identity",
            kind=Kind.TEMPLATE,
            default="agent-{job.id}" if own else None,
            description="The participant's identity. For type publisher and participant it must contain `{job.id}` "
            "or `{participant.identity}`.",
            examples=("agent-{job.id}",),
        ),
        Field(
            path=f"{prefix}.name",
            kind=Kind.TEMPLATE,
            default="" if own else None,
            description="The name that people see.",
            examples=("Support",),
        ),
        Field(
            path=f"{prefix}.metadata",
            kind=Kind.TEMPLATE,
            default="" if own else None,
            description="The participant's metadata.",
        ),
        Field(
            path=f"{prefix}.attributes",
            kind=Kind.TEXT_MAP,
            default={},
            description="The participant's attributes; names that start with `lk.` belong to LiveKit.",
            examples=({"tier": "gold"},),
        ),
    )


def permission_fields(prefix: str, description: str, *, apply: Apply | None = None) -> tuple[Field, ...]:
    """What the participant may do; only the agent's own `permissions` have defaults."""
    own = prefix == "permissions"
    flags = (
        ("can_publish", True, "The agent may publish audio and video tracks."),
        ("can_subscribe", True, "The agent may receive the tracks of others."),
        ("can_publish_data", True, "The agent may send data messages, text and byte streams."),
        ("can_update_metadata", True, "The agent may change its own name, metadata and attributes."),
        ("hidden", False, "Others do not see the agent. A hidden agent cannot publish."),
        ("can_subscribe_metrics", False, "The agent may receive the room's metrics."),
    )
    return (
        Field(
            path=prefix,
            kind=Kind.SECTION,
            apply=apply,
            description=description,
            examples=({"can_publish": False},),
        ),
        *(
            Field(path=f"{prefix}.{name}", kind=Kind.FLAG, default=default if own else None, description=text)
            for name, default, text in flags
        ),
        Field(
            path=f"{prefix}.can_publish_sources",
            kind=Kind.TEXTS,
            choices=SOURCES,
            words=("all",),
            default_text="`all`" if own else "",
            description="The kinds of track that the agent may publish, if it may publish at all; `[]` is none.",
            examples=(["microphone"],),
        ),
    )


def load_fields(prefix: str, *, host: bool) -> tuple[Field, ...]:
    """When the host, or one agent, counts as full."""
    whose = "the whole host" if host else "this agent"
    return (
        Field(
            path=prefix,
            kind=Kind.SECTION,
            apply=Apply.LIVE,
            default_text="`{cpu: 70%}`, in a memory cgroup also `memory: 85%`; none under `dev`"
            if host
            else "no limit",
            description=f"When {whose} is full: as soon as one of the limits is reached. If `load` is written, only "
            "the limits written apply.",
            examples=({"max_jobs": 20, "cpu": "70%"},),
        ),
        Field(
            path=f"{prefix}.max_jobs",
            kind=Kind.COUNT,
            minimum=1,
            description="How many jobs may run at once; accepted ones that have not started yet count.",
            examples=(20,),
        ),
        Field(
            path=f"{prefix}.cpu",
            kind=Kind.RATIO,
            positive=True,
            description="Share of the CPU that the container or machine has, averaged over 5 s.",
            examples=("70%",),
        ),
        Field(
            path=f"{prefix}.memory",
            kind=Kind.RATIO,
            positive=True,
            description="Share of the memory that the container or machine has, averaged over 5 s.",
            examples=("85%",),
        ),
        Field(
            path=f"{prefix}.custom",
            kind=Kind.SECTION,
            apply=Apply.GENERATION,
            description="A load function of your own, asked once a second in the hook process; an answer that takes "
            "longer than 200 ms is dropped and the last value kept. Inside an agent, or in a file of one agent.",
            examples=({"callable": "app.load:gpu", "limit": 0.9},),
        ),
        Field(
            path=f"{prefix}.custom.callable",
            kind=Kind.CALLABLE,
            required=True,
            description="The function, `module:attribute`; it returns a number.",
        ),
        Field(
            path=f"{prefix}.custom.limit",
            kind=Kind.NUMBER,
            required=True,
            positive=True,
            description="The value at which the agent counts as full.",
        ),
    )


_CODE = (
    Field(
        path="entrypoint",
        kind=Kind.CALLABLE,
        apply=Apply.GENERATION,
        default_text="required, unless every accepting rule names an `agent`",
        description="The code of the agent, `package.module:attribute`: an `async def (ctx)`. The file's folder is "
        "on the import path.",
        examples=("app.support:entrypoint",),
    ),
    Field(
        path="prewarm",
        kind=Kind.SECTION,
        short="callable",
        apply=Apply.GENERATION,
        description="A callable `(proc)`, sync or async, that runs in every process before its job.",
        examples=("app.support:prewarm", {"callable": "app.support:prewarm", "shared": True}),
    ),
    Field(
        path="prewarm.callable",
        kind=Kind.CALLABLE,
        required=True,
        description="The callable, `module:attribute`.",
    ),
    Field(
        path="prewarm.shared",
        kind=Kind.FLAG,
        default=False,
        description="Run it once, before forking, instead of in each process. It must leave no thread and no "
        "connection behind. Your code is then imported once, too (`imports: shared`).",
    ),
    Field(
        path="session_end",
        kind=Kind.CALLABLE,
        apply=Apply.GENERATION,
        description="A callable `(ctx)` that runs in the job process when its job is over, for at most "
        "`limits.session_end`.",
        examples=("app.support:session_end",),
    ),
    Field(
        path="env",
        kind=Kind.TEXT_MAP,
        default={},
        secret=True,
        apply=Apply.GENERATION,
        description="Environment variables for the agent's processes, on top of the host's own and `env_file`, "
        "without `LIVEKIT_API_*`.",
        examples=({"OPENAI_API_KEY": "${OPENAI_API_KEY:?set it in .env}"},),
    ),
    Field(
        path="working_dir",
        kind=Kind.TEXT,
        default=".",
        default_text="the file's folder",
        apply=Apply.GENERATION,
        description="The folder that the agent's processes run in; a relative one starts at the file's folder.",
    ),
    Field(
        path="arguments",
        kind=Kind.TEXTS,
        default=("start",),
        dev_default=("dev",),
        apply=Apply.GENERATION,
        description="What your code finds in `sys.argv` after the path of its script or module.",
        examples=(["--language", "de"],),
    ),
    Field(
        path="start_method",
        kind=Kind.CHOICE,
        choices=("auto", "spawn"),
        default="auto",
        apply=Apply.GENERATION,
        description="How processes are made. `auto` forks a template that has the libraries already; `spawn` starts a "
        "fresh interpreter for each, as `auto` does where no process can be forked.",
    ),
    Field(
        path="imports",
        kind=Kind.CHOICE,
        choices=("own", "shared"),
        default_text="`own`; with `prewarm.shared` `shared`",
        apply=Apply.GENERATION,
        description="Who imports your code. `own`: every process, so what it makes at import is that process's alone. "
        "`shared`: the template, once for all; connections, event loops and threads that it makes are an error.",
    ),
)

_REGISTRATION = (
    Field(
        path="agent_name",
        kind=Kind.TEXT,
        default_text='the key under `agents`, else ""',
        apply=Apply.REGISTRATION,
        description='The name for explicit dispatch; "" is automatic dispatch: the agent joins every room.',
        examples=("support", ""),
    ),
    Field(
        path="type",
        kind=Kind.CHOICE,
        choices=("room", "publisher", "participant"),
        default="room",
        apply=Apply.REGISTRATION,
        description="What there is one job for: each room, each participant that publishes, or each participant.",
    ),
    Field(
        path="deployment",
        kind=Kind.TEXT,
        default="",
        apply=Apply.REGISTRATION,
        description="Keeps deployments of one agent name apart: at most 64 bytes, no `_` and no blanks.",
        examples=("blue",),
    ),
    Field(
        path="register",
        kind=Kind.FLAG,
        default=True,
        apply=Apply.REGISTRATION,
        description="Register with the server. `false`: the agent is only reached through a rule of another one.",
    ),
    Field(
        path="unique_per_room",
        kind=Kind.FLAG,
        default_text='true if `type` is room and `agent_name` is "", else false',
        apply=Apply.LIVE,
        description="At most one live job of this agent per room on this host.",
    ),
    Field(
        path="session_host",
        kind=Kind.CHOICE,
        choices=("off", "own", "room"),
        default="off",
        dev_default="own",
        apply=Apply.LIVE,
        description="Who may read and drive a session of livekit-agents over the topic `lk.agent.session`: nobody, "
        "participants whose identity this host made up for them, or `room`, as under livekit-agents: everybody there.",
    ),
)

_REQUESTS = (
    Field(
        path="requests",
        kind=Kind.SECTION,
        apply=Apply.LIVE,
        description="Which job requests the agent accepts, and as whom.",
        examples=({"otherwise": "reject"},),
    ),
    *accept_fields("requests.accept"),
    Field(
        path="requests.rules",
        kind=Kind.LIST,
        apply=Apply.LIVE,
        description="Tried in order; the first one whose `when` holds decides.",
        examples=([{"name": "recordings", "when": {"room.name": "rec-*"}, "action": "terminate"}],),
    ),
    Field(
        path="requests.rules[].name",
        kind=Kind.TEXT,
        required=True,
        description="The rule's name, for the log and the metrics; unique within the agent.",
    ),
    Field(
        path="requests.rules[].when",
        kind=Kind.FREE_MAP,
        default={},
        default_text="always",
        description="The condition: `path: matcher` lines, all of which must hold; groups `any`, `all`, `not`.",
        examples=({"room.name": "vip-*"},),
    ),
    Field(
        path="requests.rules[].action",
        kind=Kind.CHOICE,
        choices=ACTIONS,
        default_text="accept if the rule names an `agent`, else required",
        description="`accept`, `reject` (another worker may take it) or `terminate` (nobody shall).",
    ),
    Field(
        path="requests.rules[].agent",
        kind=Kind.TEXT,
        description="Accept, and run the code of this agent.",
        examples=("support",),
    ),
    *accept_fields("requests.rules[].accept"),
    *permission_fields("requests.rules[].permissions", "Narrows the agent's permissions for the jobs of this rule."),
    Field(
        path="requests.otherwise",
        kind=Kind.CHOICE,
        choices=ACTIONS,
        default="accept",
        description="What happens to a request that no rule matches.",
    ),
    Field(
        path="requests.handler",
        kind=Kind.CALLABLE,
        apply=Apply.GENERATION,
        description="An `async def (req: JobRequest)` in the hook process, asked after a rule accepts. An exception "
        "or no answer in time rejects the request.",
        examples=("app.support:on_request",),
    ),
)


_NEVER_ZERO = ("init", "unresponsive", "memory_warn", "memory", "max_duration")
"""Limits that no job could ever keep if they were zero."""


def _limit(name: str, kind: Kind, default: str | None, description: str, example: object) -> Field:
    return Field(
        path=f"limits.{name}",
        kind=kind,
        default=default if default is not None else "none",
        words=("none",) if default is None or name == "memory_warn" else (),
        positive=name in _NEVER_ZERO,
        minimum=1 if kind is Kind.COUNT else None,
        description=description,
        examples=(example,),
    )


_RUNNING = (
    Field(
        path="num_idle_processes",
        kind=Kind.COUNT,
        default=1,
        dev_default=0,
        minimum=0,
        maximum=1000,
        apply=Apply.LIVE,
        description="How many processes are kept ready for the next job. Under `dev`, `start_method: spawn` keeps one.",
    ),
    Field(
        path="limits",
        kind=Kind.SECTION,
        apply=Apply.LIVE,
        description="Bounds for every job; a change holds for the next job.",
        examples=({"memory": "1GiB", "max_duration": "2h"},),
    ),
    _limit("init", Kind.DURATION, "30s", "Import and prewarm of a process; longer is a failure.", "1m"),
    _limit("connect", Kind.DURATION, "10s", "A job that has not joined its room by then is warned about.", "20s"),
    _limit("unresponsive", Kind.DURATION, "60s", "A job whose event loop stands still this long is killed.", "2m"),
    _limit(
        "shutdown", Kind.DURATION, "10s", "Shutdown callbacks of a job that ends, then its `atexit` functions.", "30s"
    ),
    _limit("session_end", Kind.DURATION, "5m", "The `session_end` callable of a job that ends.", "1m"),
    _limit("memory_warn", Kind.SIZE, "1GB", "Private memory of a job from which on the log warns.", "500MB"),
    _limit("memory", Kind.SIZE, None, "Private memory of a job; more ends it as failed.", "1GiB"),
    _limit("max_duration", Kind.DURATION, None, "How long a job may run.", "2h"),
    _limit("empty_room", Kind.DURATION, None, "How long a job stays when nobody but agents is in its room.", "1m"),
    _limit("open_files", Kind.COUNT, None, "How many files and sockets a job may have open.", 1024),
    Field(
        path="restart",
        kind=Kind.SECTION,
        short="policy",
        apply=Apply.LIVE,
        description="What happens to a job of this host that failed; for `type: room`.",
        examples=({"policy": "on-failure", "attempts": 2},),
    ),
    Field(
        path="restart.policy",
        kind=Kind.CHOICE,
        choices=("never", "on-failure"),
        default="never",
        description="`on-failure` brings a failed job back by dispatching it anew.",
    ),
    Field(
        path="restart.attempts",
        kind=Kind.COUNT,
        default=2,
        minimum=1,
        maximum=100,
        description="How often one job is brought back.",
    ),
    Field(
        path="restart.backoff",
        kind=Kind.DURATION,
        default="1s",
        description="The wait before the first attempt; it doubles with each.",
    ),
    Field(
        path="recovery",
        kind=Kind.SECTION,
        short="enabled",
        apply=Apply.LIVE,
        description="Bring back jobs that another host lost or that this one had no room for; for `type: room`.",
        examples=(True, {"sweep": False, "attempts": 1}),
    ),
    Field(
        path="recovery.enabled",
        kind=Kind.FLAG,
        default=False,
        default_text="false; true if `recovery` is written as a mapping",
        description="Recover at all.",
    ),
    Field(
        path="recovery.sweep",
        kind=Kind.FLAG,
        default=True,
        description="Also look through the server's rooms for calls that nobody serves.",
    ),
    Field(
        path="recovery.attempts",
        kind=Kind.COUNT,
        default=2,
        minimum=1,
        maximum=100,
        description="How often one job is brought back.",
    ),
    Field(
        path="drain_timeout",
        kind=Kind.DURATION,
        words=("forever",),
        default="30m",
        apply=Apply.LIVE,
        description="How long running jobs may go on once the host was told to stop, or `forever`.",
        examples=("1h", "forever"),
    ),
    Field(
        path="log_level",
        kind=Kind.CHOICE,
        choices=LOG_LEVELS,
        default_text="the host's",
        apply=Apply.LIVE,
        description="The log level of this agent's jobs.",
    ),
    Field(
        path="settings",
        kind=Kind.FREE_MAP,
        default={},
        apply=Apply.LIVE,
        description="Values for your code, which finds them as `ctx.settings`. A change holds for the next job.",
        examples=({"voice": "alba", "prompt": "${file:prompts/support.md}"},),
    ),
)

AGENT_FIELDS: tuple[Field, ...] = (
    *_CODE,
    *_REGISTRATION,
    *permission_fields(
        "permissions",
        "What the agent's participant may do, enforced by signing each job's token.",
        apply=Apply.LIVE,
    ),
    *_REQUESTS,
    *load_fields("load", host=False),
    *_RUNNING,
)
