"""The host's half of the field table, and the tree of the whole file (`FILE`) made of both halves."""

from agenthost.config.agent_fields import (
    ACTIONS,
    AGENT_FIELDS,
    LOG_LEVELS,
    load_fields,
    permission_fields,
)
from agenthost.config.fields import Apply, Field, Kind, Spec, build_spec
from agenthost.jobs import JOB_GRANTS

_HOST = (
    Field(
        path="version",
        kind=Kind.COUNT,
        default=1,
        minimum=1,
        description="The version of the file's language.",
    ),
    Field(
        path="livekit",
        kind=Kind.SECTION,
        apply=Apply.REGISTRATION,
        description="The LiveKit server.",
        examples=({"url": "wss://example.livekit.cloud"},),
    ),
    Field(
        path="livekit.url",
        kind=Kind.TEXT,
        default_text="`LIVEKIT_URL`; without it `dev` starts a local server and `start` refuses",
        description="The server's address: ws, wss, http or https.",
        examples=("wss://example.livekit.cloud", "${LIVEKIT_URL}"),
    ),
    Field(
        path="livekit.api_key",
        kind=Kind.TEXT,
        secret=True,
        default_text="`LIVEKIT_API_KEY`",
        description="The API key, only as `${NAME}` or `${file:…}`.",
        examples=("${LIVEKIT_API_KEY}",),
    ),
    Field(
        path="livekit.api_secret",
        kind=Kind.TEXT,
        secret=True,
        default_text="`LIVEKIT_API_SECRET`",
        description="The API secret, only as `${NAME}` or `${file:…}`.",
        examples=("${LIVEKIT_API_SECRET}", "${file:/run/secrets/livekit}"),
    ),
    Field(
        path="livekit.secret_in_jobs",
        kind=Kind.FLAG,
        default_text="`false`; `true` for code written for livekit-agents",
        apply=Apply.GENERATION,
        description="Jobs see the raw key and secret, for code that needs the pair itself; its import only if this is "
        "written as `true`.",
    ),
    Field(
        path="livekit.job_grants",
        kind=Kind.TEXTS,
        choices=JOB_GRANTS,
        default=("room_admin", "room_create", "room_record", "sip_admin", "sip_call"),
        apply=Apply.LIVE,
        description="What `ctx.api` may do with the job's token: `room_admin` in the job's own room, the others in "
        "the whole project. Running jobs keep what they have; code that has the raw pair grants itself what it likes.",
        examples=(["room_admin", "room_create", "ingress_admin"], []),
    ),
    Field(
        path="livekit.proxy",
        kind=Kind.TEXT,
        default_text="`HTTPS_PROXY` or `HTTP_PROXY`",
        description="The HTTP proxy on the way to the server. The environment's is not used for a server on this "
        "machine or in `NO_PROXY`.",
        examples=("http://proxy.internal:3128",),
    ),
    Field(
        path="log_level",
        kind=Kind.CHOICE,
        choices=LOG_LEVELS,
        default="INFO",
        dev_default="DEBUG",
        apply=Apply.LIVE,
        description="The least severe level that is logged; it reaches running jobs too.",
    ),
    Field(
        path="log_levels",
        kind=Kind.TEXT_MAP,
        choices=LOG_LEVELS,
        default={},
        apply=Apply.LIVE,
        description="Levels of single loggers.",
        examples=({"livekit": "WARNING", "app.support": "TRACE"},),
    ),
    Field(
        path="log_format",
        kind=Kind.SECTION,
        short="format",
        apply=Apply.LIVE,
        description="How log lines look.",
        examples=("json", {"format": "json", "rename": {"message": "msg"}}),
    ),
    Field(
        path="log_format.format",
        kind=Kind.CHOICE,
        choices=("auto", "rich", "json"),
        default="auto",
        description="`auto` is for people on a terminal under `dev`, and JSON lines under `start`.",
    ),
    Field(
        path="log_format.rename",
        kind=Kind.TEXT_MAP,
        default={},
        description="Other names for fields of JSON lines.",
        examples=({"message": "msg", "level": "severity"},),
    ),
    Field(
        path="http",
        kind=Kind.SECTION,
        apply=Apply.LIVE,
        description="The HTTP endpoints `/healthz`, `/readyz`, `/metrics`, and on loopback `/worker`.",
        examples=({"listen": "127.0.0.1:9000"},),
    ),
    Field(
        path="http.listen",
        kind=Kind.TEXT,
        words=("none",),
        default="0.0.0.0:8081",
        dev_default="127.0.0.1:0",
        description="The address to listen on, `HOST:PORT`; port 0 is any free one, `none` no HTTP at all.",
        examples=("127.0.0.1:9000", "none"),
    ),
    Field(
        path="control",
        kind=Kind.SECTION,
        description="The unix socket by which the other commands talk to a running host.",
        examples=({"socket": "none"},),
    ),
    Field(
        path="control.socket",
        kind=Kind.TEXT,
        words=("none",),
        default_text="a name made of the file's path, in `$XDG_RUNTIME_DIR/agenthost` or `$TMPDIR/agenthost-<uid>`",
        description="The socket's path; `none` for no control socket.",
    ),
    Field(
        path="env_file",
        kind=Kind.TEXT,
        dev_default=".env",
        default_text="`.env` under `dev`, if it exists; else none",
        apply=Apply.GENERATION,
        description="A file of `NAME=value` lines for interpolation and for jobs, read as python-dotenv does. The "
        "process environment wins.",
        examples=(".env",),
    ),
    Field(
        path="preload",
        kind=Kind.TEXTS,
        default=(),
        apply=Apply.BASE,
        description="Modules imported once, shared by the processes of all agents.",
        examples=(["numpy", "onnxruntime"],),
    ),
    Field(
        path="timezone",
        kind=Kind.TEXT,
        default="UTC",
        apply=Apply.LIVE,
        description="The IANA time zone that `time.*` in rules means.",
        examples=("Europe/Berlin",),
    ),
    *load_fields("load", host=True),
    Field(
        path="reload",
        kind=Kind.SECTION,
        apply=Apply.LIVE,
        description="What the host watches and takes over by itself.",
        examples=({"watch": ["config", "code"]},),
    ),
    Field(
        path="reload.watch",
        kind=Kind.TEXTS,
        choices=("config", "code"),
        default=(),
        dev_default=("config", "code"),
        description="Watch the configuration, the code, both or nothing.",
    ),
    Field(
        path="reload.paths",
        kind=Kind.TEXTS,
        default=(),
        description="More files and folders that count as code.",
        examples=(["prompts/"],),
    ),
    Field(
        path="reload.debounce",
        kind=Kind.DURATION,
        default="100ms",
        description="How long files must be quiet before a change is taken over.",
    ),
    Field(
        path="reload.running_jobs",
        kind=Kind.CHOICE,
        choices=("finish", "rejoin"),
        default="finish",
        description="What running jobs do after a change of code: `finish` on the old code, or, under `dev`, "
        "`rejoin` their room with the new one.",
    ),
    Field(
        path="profiles",
        kind=Kind.CATALOG,
        description="Named partial files, merged over this one key by key: `--profile NAME`, and `dev` under `dev`.",
        examples=({"dev": {"log_level": "DEBUG"}},),
    ),
)

_TESTS = (
    Field(
        path="tests",
        kind=Kind.LIST,
        description="Examples of requests and what must come of them, run by `agenthost test`.",
    ),
    Field(
        path="tests[].name",
        kind=Kind.TEXT,
        required=True,
        description="What is tested, in a few words.",
    ),
    Field(
        path="tests[].agent",
        kind=Kind.TEXT,
        default_text="the only agent",
        description="The agent that gets the request.",
    ),
    Field(
        path="tests[].request",
        kind=Kind.FREE_MAP,
        default={},
        description="The request, by the paths that rules use.",
        examples=({"room.name": "vip-7", "job.metadata": {"tier": "gold"}},),
    ),
    Field(
        path="tests[].at",
        kind=Kind.TEXT,
        default_text="now",
        description="The moment of the request, ISO 8601.",
        examples=("2026-03-02T10:00:00+01:00",),
    ),
    Field(
        path="tests[].expect",
        kind=Kind.SECTION,
        required=True,
        description="What must come of it; only what is written is compared.",
        examples=({"action": "accept", "agent": "support"},),
    ),
    Field(path="tests[].expect.action", kind=Kind.CHOICE, choices=ACTIONS, description="The answer to the server."),
    Field(path="tests[].expect.agent", kind=Kind.TEXT, description="The agent whose code runs."),
    Field(path="tests[].expect.rule", kind=Kind.TEXT, description="The rule that decides, or `otherwise`."),
    Field(path="tests[].expect.reason", kind=Kind.TEXT, description="The reason of the decision."),
    Field(path="tests[].expect.identity", kind=Kind.TEXT, description="The participant's identity."),
    Field(path="tests[].expect.name", kind=Kind.TEXT, description="The participant's name."),
    Field(path="tests[].expect.metadata", kind=Kind.TEXT, description="The participant's metadata."),
    Field(path="tests[].expect.attributes", kind=Kind.TEXT_MAP, description="Attributes the participant must have."),
    *permission_fields("tests[].expect.permissions", "Permissions the participant must have."),
)

_AGENTS = Field(
    path="agents",
    kind=Kind.CATALOG,
    short="entrypoint",
    description="Several agents in one host: id → agent. A plain text is the agent's entrypoint. Agent keys at the "
    "top are the defaults of all agents.",
    examples=({"support": {"entrypoint": "app.support:entrypoint"}},),
)

HOST_FIELDS: tuple[Field, ...] = (*_HOST, *_TESTS)

NOT_A_DEFAULT = ("agent_name", "entrypoint", "prewarm")
"""Agent keys that make no sense as a default of all agents: errors at the top beside `agents`."""

MERGED_BY_KEY = ("env", "settings", "permissions", "limits")
"""Agent keys whose mappings are merged with those at the top; every other one replaces it."""


def _whole_file() -> Spec:
    host = build_spec(Field(path="", kind=Kind.SECTION, description="The agenthost file."), HOST_FIELDS)
    agent = build_spec(_AGENTS, AGENT_FIELDS)
    only_agents = {name: child for name, child in agent.children.items() if name not in host.children}
    children = {**host.children, **only_agents, "agents": agent}
    in_profile = {name: child for name, child in children.items() if name not in ("version", "profiles", "tests")}
    children["profiles"] = Spec(field=host.children["profiles"].field, children=in_profile)
    return Spec(field=host.field, children=children)


FILE: Spec = _whole_file()
AGENT_KEYS: frozenset[str] = frozenset(FILE.children["agents"].children)
HOST_KEYS: frozenset[str] = frozenset(f.path for f in HOST_FIELDS if "." not in f.path) | {"agents"}
