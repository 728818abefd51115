"""What crosses the border between the host and its processes: frozen values, one class a message.

Host and processes are always of one version (a template is exec'd by its host), so there is no version
negotiation; an unknown message is a bug and fails loudly. Encoding is MessagePack, checked against the classes below:
nothing a job process sends can make the host run code. What MessagePack has no form for (text that is not UTF-8 since
it was a file name or a variable once, a number beyond 64 bits) goes as JSON.

    host → base        BaseSpec, once
    host → template    BaseSpec (the base), ForkProcess (with descriptors), Leave
                       (the TemplateSpec of a template to be is in a file that comes along, for it may be large)
    template → host    Hello, ModulesLoaded, TemplateReady, InitFailed, Forked, ForkRefused
    host → job         Reserved, StartJob, StopJob, ApiToken, Guests, LogLevels
    job → host         Hello, Ready, InitFailed, Started, Connected, GuestSeen, Heartbeat, Stopping, Ended
    host → hook        AskHandler, AskLoad
    hook → host        Hello, Ready, InitFailed, HandlerAnswer, LoadAnswer
"""

import json
import operator
from collections.abc import Mapping
from functools import reduce
from typing import Any

from msgspec import convert, field, msgpack, to_builtins

from agenthost.jobs import ActiveJob
from agenthost.values import Discreet

PACKET_BYTES = 256 * 1024
"""The largest message to and from a template, one packet; a TemplateSpec with its environment is what needs it."""


class Message(Discreet, frozen=True, kw_only=True, forbid_unknown_fields=True, tag=True):
    """Base of all messages; subclasses hold only JSON values, bytes, and mappings of them."""


# ── both ways, at the start ──────────────────────────────────────────────────────────────────────────────────


class Hello(Message, frozen=True, kw_only=True):
    """A forked process is now a child of the host and has this pid."""

    pid: int


class Ready(Message, frozen=True, kw_only=True):
    """Prewarm is done; the process waits for its job (or its questions).

    From a process that was asked to tell (`ForkProcess.learns`): `code` and `modules` as in TemplateReady, `libraries`
    that it imported itself, or under a changed environment. A main process has pickled `functions` for `CodeSpec`.
    """

    init_seconds: float = 0.0
    code: Mapping[str, Any] | None = None
    modules: tuple[str, ...] = ()
    libraries: tuple["Library", ...] = ()
    functions: bytes = b""


class InitFailed(Message, frozen=True, kw_only=True):
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


class BaseSpec(Message, frozen=True, kw_only=True):
    """What the base template is to import besides livekit.rtc, and from where; known once the file is read.

    `forget` are variables that it was exec'd with and that nothing below it may see: the file takes key or secret from
    them.
    """

    path: tuple[str, ...]
    preload: tuple[str, ...]
    forget: tuple[str, ...] = ()


class CodeSpec(Discreet, frozen=True, kw_only=True):
    """What is to be imported of the user's own code: references as they stand in the file.

    `functions` is what the main process of a script was given for its jobs.
    """

    not_shown = frozenset({"functions"})

    entrypoint: str
    prewarm: str | None = None
    prewarm_shared: bool = False
    session_end: str | None = None
    handler: str | None = None
    load: str | None = None
    functions: bytes = b""


class Library(Discreet, frozen=True, kw_only=True):
    """A module that is not the user's own. `env` is what their code had changed in the environment when it imported it.

    A variable that was removed is None there.
    """

    not_shown = frozenset({"env"})

    name: str
    env: Mapping[str, str | None] = field(default_factory=dict)


class LeftOut(Discreet, frozen=True, kw_only=True):
    """Modules that no template may have: importing `names[0]` does what `reason` says. The others import it."""

    names: tuple[str, ...]
    reason: str


class TemplateSpec(Message, frozen=True, kw_only=True):
    """What an agent template is to be. `env` is all there is, `path` begins sys.path, and `arguments` end sys.argv.

    It imports the user's own code only where that is `shared`; else `libraries`, but none of `left_out`. None: it
    finds out by itself which ones that code imports, as far as can be read off its text.
    """

    not_shown = frozenset({"env"})

    agent: str
    env: Mapping[str, str]
    working_dir: str
    arguments: tuple[str, ...] = ()
    path: tuple[str, ...]
    code: CodeSpec
    shared: bool = False
    libraries: tuple[Library, ...] | None = None
    left_out: tuple[str, ...] = ()
    log_level: str = "INFO"
    log_levels: Mapping[str, str] = field(default_factory=dict)


class ModulesLoaded(Message, frozen=True, kw_only=True):
    """Some of the `modules` of the TemplateReady that follows: all of a large program are more than a packet."""

    modules: tuple[str, ...]


class TemplateReady(Message, frozen=True, kw_only=True):
    """The template has imported everything. `modules` are the files of user code it loaded, for the watcher.

    `threads` (each with its line) and `left_out` keep it from forking. `framework`: the code imports livekit-agents.
    `libraries` it found out itself, `code` are a framework's `CodeValues`, `shared` is what all jobs share, and where.
    """

    pid: int
    import_seconds: float
    modules: tuple[str, ...] = ()
    threads: tuple[str, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    framework: bool = False
    libraries: tuple[Library, ...] = ()
    code: Mapping[str, Any] | None = None
    shared: tuple[tuple[str, str], ...] = ()


class ForkProcess(Message, frozen=True, kw_only=True):
    """Ask a template for one process; its channel, stdout, stderr and log pipe come along as descriptors.

    One more is the code that it imports, as its generation was proven with (`child/code_snapshot.py`); a process that
    `learns` writes into that what it imports itself, and tells of it when it is ready. `credentials` are variables with
    LiveKit's key and secret, for code that is given them; else empty. `spec` is for a process that was spawned.
    """

    not_shown = frozenset({"credentials"})

    number: int
    kind: str  # job | hook | main | template
    spec: TemplateSpec | None = None
    code: CodeSpec | None = None
    learns: bool = False
    open_files: int | None = None
    log_level: str = "INFO"
    log_levels: Mapping[str, str] = field(default_factory=dict)
    credentials: Mapping[str, str] = field(default_factory=dict)


class Leave(Message, frozen=True, kw_only=True):
    """No more processes are wanted of this template. An end without it means that the host has died."""


class Forked(Message, frozen=True, kw_only=True):
    """The process of request `number` was made, and is a child of the host.

    `pid` is 0 where the template has not been told; the process says Hello on its own channel in any case.
    """

    number: int
    pid: int = 0


class ForkRefused(Message, frozen=True, kw_only=True):
    """No process was made for request `number` (EAGAIN, a thread appeared …)."""

    number: int
    reason: str


# ── jobs ─────────────────────────────────────────────────────────────────────────────────────────────────────


class Reserved(Message, frozen=True, kw_only=True):
    """An offer was accepted with this process: its job comes as soon as the server has assigned it, or never."""


class StartJob(Message, frozen=True, kw_only=True):
    """Run this job now. `job` is the server's protobuf Job, unread by the host; times are in seconds.

    Those in `…_at` are since the epoch: when the offer came, was accepted, was assigned, and was handed to a process.
    `session_host` is a value of the agent's key, `guests` as in Guests. `file` is the host's, "" where it has none.
    """

    not_shown = frozenset({"job", "token", "api_token", "api_key", "api_secret", "metadata", "attributes", "settings"})

    job_id: str
    job: bytes
    url: str
    token: str
    api_token: str
    api_key: str = ""
    api_secret: str = ""
    worker_id: str
    agent: str
    room: str
    identity: str
    name: str
    metadata: str
    attributes: Mapping[str, str]
    settings: Mapping[str, Any]
    file: str = ""
    attempt: int
    session_host: str = "off"
    guests: Mapping[str, str] = field(default_factory=dict)
    session_end_seconds: float
    shutdown_seconds: float
    received_at: float = 0.0
    accepted_at: float = 0.0
    assigned_at: float = 0.0
    launched_at: float = 0.0


class StopJob(Message, frozen=True, kw_only=True):
    """End now, politely. `grace_seconds` is for the entrypoint, `budget_seconds` (if any) for everything together."""

    reason: str
    grace_seconds: float
    budget_seconds: float | None = None


class ApiToken(Message, frozen=True, kw_only=True):
    """A fresh token for `ctx.api`; the old one is about to expire."""

    not_shown = frozenset({"token"})

    token: str


class Guests(Message, frozen=True, kw_only=True):
    """The identities that the host made up for this room, each with the sid of who joined with it, "": nobody yet."""

    sids: Mapping[str, str]


class LogLevels(Message, frozen=True, kw_only=True):
    """The log level changed (live)."""

    level: str
    levels: Mapping[str, str]


class Started(Message, frozen=True, kw_only=True):
    """The entrypoint is being called."""


class Connected(Message, frozen=True, kw_only=True):
    """The job joined its room."""

    room_sid: str
    participant_sid: str


class GuestSeen(Message, frozen=True, kw_only=True):
    """Somebody joined as one of the Guests. From now on it is this participant, and never another of that identity."""

    identity: str
    sid: str


class Heartbeat(Message, frozen=True, kw_only=True):
    """The job's loop turns. Sent once a second while a job runs. `people` are the participants that are no agents;
    `connected`: it is in its room now, and not on its way back to it."""

    people: int
    connected: bool = False


class Stopping(Message, frozen=True, kw_only=True):
    """The job began to end, by itself or because it was asked; `phase` is entrypoint, session_end or callbacks."""

    phase: str
    reason: str


class Ended(Message, frozen=True, kw_only=True):
    """The last word of a job process. `kind` is a value of `jobs.OutcomeKind`; `traceback` is for the log."""

    kind: str
    reason: str
    error: str = ""
    traceback: str = ""


# ── the hook process ─────────────────────────────────────────────────────────────────────────────────────────


class AskHandler(Message, frozen=True, kw_only=True):
    """Ask `requests.handler` about one offer; `accept` is what the rules would answer with."""

    not_shown = frozenset({"job", "metadata", "attributes"})

    number: int
    job: bytes
    identity: str
    name: str
    metadata: str
    attributes: Mapping[str, str]


class HandlerAnswer(Message, frozen=True, kw_only=True):
    """`action` is accept, reject, terminate or error (then `detail` says what went wrong)."""

    not_shown = frozenset({"metadata", "attributes"})

    number: int
    action: str
    identity: str = ""
    name: str = ""
    metadata: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    detail: str = ""


class AskLoad(Message, frozen=True, kw_only=True):
    """`jobs` are ids, where the function wants more than the number; `new` those that this process does not know."""

    number: int
    active_jobs: int
    jobs: tuple[str, ...] = ()
    new: Mapping[str, ActiveJob] = field(default_factory=dict)
    worker_id: str = ""


class LoadAnswer(Message, frozen=True, kw_only=True):
    """`load` None: the function raised or gave no number; `detail` says which."""

    number: int
    load: float | None
    detail: str = ""


def encode(message: Message) -> bytes:
    """One message; the frame around it is the channel's business. Raises TypeError for a value that is no plain one."""
    try:
        return _ENCODER.encode(message)
    except (UnicodeEncodeError, OverflowError):
        return json.dumps(to_builtins(message, enc_hook=_plain)).encode()


def decode(data: bytes) -> Message:
    """The opposite of `encode`. Raises ValueError for anything that is not exactly one known message."""
    try:
        return _DECODER.decode(data) if data[:1] != b"{" else convert(json.loads(data), _ANY)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not a message: {data[:80]!r}") from error


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} cannot cross the process border")


_ANY: Any = reduce(operator.or_, Message.__subclasses__())
_ENCODER = msgpack.Encoder(enc_hook=_plain)
_DECODER: msgpack.Decoder[Message] = msgpack.Decoder(_ANY)
