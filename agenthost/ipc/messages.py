"""What crosses the border between the host and its processes: frozen values, one class a message.

Host and processes are always of one version (a template is exec'd by its host), so there is no version
negotiation; an unknown message is a bug and fails loudly. Encoding is JSON with bytes as base64: nothing a job
process sends can make the host run code.

    host → base        BaseSpec, once
    host → template    BaseSpec (the base), ForkProcess (with descriptors), Leave
    template → host    Hello, ModulesLoaded, TemplateReady, InitFailed, Forked, ForkRefused
    host → job         StartJob, StopJob, ApiToken, LogLevels
    job → host         Hello, Ready, InitFailed, Started, Connected, Heartbeat, Stopping, Ended
    host → hook        AskHandler, AskLoad
    hook → host        Hello, Ready, InitFailed, HandlerAnswer, LoadAnswer
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar

PACKET_BYTES = 256 * 1024
"""The largest message to and from a template, one packet; a TemplateSpec with its environment is what needs it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Base of all messages; subclasses hold only JSON values, bytes, and mappings of them."""

    registry: ClassVar[dict[str, type["Message"]]] = {}

    def __init_subclass__(cls) -> None:
        Message.registry[cls.__name__] = cls


# ── both ways, at the start ──────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello(Message):
    """A forked process is now a child of the host and has this pid."""

    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready(Message):
    """Prewarm is done; the process waits for its job (or its questions).

    `code` and `modules` as in TemplateReady, from a process that was not forked and had to find that out itself.
    """

    init_seconds: float = 0.0
    code: Mapping[str, Any] | None = None
    modules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class InitFailed(Message):
    """User code failed before any job. `phase` is import, prewarm or handler; `file`/`line` the user's frame.

    `modules` are the files of the user's code that had been imported by then.
    """

    phase: str
    error: str
    message: str
    traceback: str = ""
    file: str = ""
    line: int = 0
    modules: tuple[str, ...] = ()


# ── templates ────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseSpec(Message):
    """What the base template is to import besides livekit.rtc, and from where; known once the file is read.

    `forget` are variables that it was exec'd with and that nothing below it may see: the file takes key or secret from
    them.
    """

    path: tuple[str, ...]
    preload: tuple[str, ...]
    forget: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateSpec(Message):
    """What an agent template is to be. `env` is the complete environment; `path` goes in front of sys.path."""

    agent: str
    generation: int
    env: Mapping[str, str] = field(repr=False)
    working_dir: str
    path: tuple[str, ...]
    entrypoint: str
    prewarm: str | None = None
    prewarm_shared: bool = False
    session_end: str | None = None
    handler: str | None = None
    load: str | None = None
    forks_with_threads: bool = False
    log_level: str = "INFO"
    log_levels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModulesLoaded(Message):
    """Some of the `modules` of the TemplateReady that follows: all of a large program are more than a packet."""

    modules: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateReady(Message):
    """The template has imported everything. `modules` are the files of user code it loaded, for the watcher.

    `threads` names what keeps it from forking (empty: it may fork): one text a thread, with the importing line.
    `code` are the `CodeValues` of code for another framework, None for our own.
    """

    pid: int
    import_seconds: float
    modules: tuple[str, ...] = ()
    threads: tuple[str, ...] = ()
    code: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkProcess(Message):
    """Ask a template for one process; its channel, stdout, stderr and log pipe come along as descriptors.

    `credentials` are variables with LiveKit's key and secret, for code that is given them; else empty.
    """

    number: int
    kind: str  # job | hook | template
    spec: TemplateSpec | None = None
    open_files: int | None = None
    log_level: str = "INFO"
    log_levels: Mapping[str, str] = field(default_factory=dict)
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leave(Message):
    """No more processes are wanted of this template. An end without it means that the host has died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forked(Message):
    """The process of request `number` was made, and is a child of the host.

    `pid` is 0 where the template has not been told; the process says Hello on its own channel in any case.
    """

    number: int
    pid: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkRefused(Message):
    """No process was made for request `number` (EAGAIN, a thread appeared …)."""

    number: int
    reason: str


# ── jobs ─────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class StartJob(Message):
    """Run this job now. `job` is the server's protobuf Job, unread by the host; times are in seconds."""

    job_id: str
    job: bytes = field(repr=False)
    url: str
    token: str = field(repr=False)
    api_token: str = field(repr=False)
    api_key: str = field(default="", repr=False)
    api_secret: str = field(default="", repr=False)
    worker_id: str
    agent: str
    room: str
    identity: str
    name: str
    metadata: str = field(repr=False)
    attributes: Mapping[str, str] = field(repr=False)
    settings: Mapping[str, Any] = field(repr=False)
    attempt: int
    session_end_seconds: float
    shutdown_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StopJob(Message):
    """End now, politely. `grace_seconds` is for the entrypoint, `budget_seconds` (if any) for everything together."""

    reason: str
    grace_seconds: float
    budget_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiToken(Message):
    """A fresh token for `ctx.api`; the old one is about to expire."""

    token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLevels(Message):
    """The log level changed (live)."""

    level: str
    levels: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Started(Message):
    """The entrypoint is being called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Connected(Message):
    """The job joined its room."""

    room_sid: str
    participant_sid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Heartbeat(Message):
    """The job's loop turns. Sent once a second while a job runs. `people` are the participants that are no agents."""

    people: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopping(Message):
    """The job began to end, by itself or because it was asked; `phase` is entrypoint, session_end or callbacks."""

    phase: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Message):
    """The last word of a job process. `kind` is a value of `jobs.OutcomeKind`; `traceback` is for the log."""

    kind: str
    reason: str
    error: str = ""
    traceback: str = ""


# ── the hook process ─────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True, kw_only=True)
class AskHandler(Message):
    """Ask `requests.handler` about one offer; `accept` is what the rules would answer with."""

    number: int
    job: bytes = field(repr=False)
    identity: str
    name: str
    metadata: str = field(repr=False)
    attributes: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerAnswer(Message):
    """`action` is accept, reject, terminate or error (then `detail` says what went wrong)."""

    number: int
    action: str
    identity: str = ""
    name: str = ""
    metadata: str = field(default="", repr=False)
    attributes: Mapping[str, str] = field(default_factory=dict, repr=False)
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskLoad(Message):
    number: int
    active_jobs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadAnswer(Message):
    """`load` None: the function raised or gave no number; `detail` says which."""

    number: int
    load: float | None
    detail: str = ""


def encode(message: Message) -> bytes:
    """One message as UTF-8 JSON; the frame around it is the channel's business."""
    body = {f.name: getattr(message, f.name) for f in fields(message)}
    return json.dumps([type(message).__name__, body], default=_plain, separators=(",", ":")).encode()


def decode(data: bytes) -> Message:
    """The opposite of `encode`. Raises ValueError for anything that is not exactly one known message."""
    try:
        name, body = json.loads(data)
        cls = Message.registry[name]
        return cls(**{key: _revive(key, value, cls) for key, value in body.items()})
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"not a message: {data[:80]!r}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Message):
        return {f.name: getattr(value, f.name) for f in fields(value)}
    raise TypeError(f"{type(value).__name__} cannot cross the process border")


def _revive(key: str, value: Any, cls: type[Message]) -> Any:
    kind = cls.__dataclass_fields__[key].type
    if kind is bytes:
        return base64.b64decode(value)
    if kind == tuple[str, ...]:
        return tuple(value)
    if value is not None and kind == (TemplateSpec | None):
        return TemplateSpec(**{k: _revive(k, v, TemplateSpec) for k, v in value.items()})
    return value
