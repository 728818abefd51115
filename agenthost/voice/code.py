"""`VoiceCode`: what a user of livekit-agents has written, read off the objects they made. Runs in templates.

An AgentServer with its session, WorkerOptions, or a bare function: all three come to the same fields. Nothing of
livekit-agents' own host is started.
"""

import inspect
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, get_type_hints

from livekit.agents import JobContext, WorkerOptions
from livekit.agents import worker as agents_worker
from msgspec import Struct, field

from agenthost.child.entrypoint import Entrypoint, as_awaitable, as_callable
from agenthost.errors import EntrypointError

UserFunction = Callable[..., Any]

AgentServer: type[Any] = agents_worker.AgentServer

WANTED = (
    "an entrypoint is an `async def` that takes livekit-agents' JobContext: `async def entrypoint(ctx: JobContext)`"
)
_NO_SESSION = (
    "the AgentServer of `{reference}` has no session: decorate the entrypoint with `@{name}.rtc_session()`, before the "
    "end of the module"
)


class VoiceCode(Struct, frozen=True, kw_only=True):
    """None: the user gave no such function. `options` holds every option of their object by its own name.

    `defaults` are livekit-agents' values of the same options. `server` is the user's AgentServer, where there is one.
    """

    reference: str
    entrypoint: Entrypoint
    setup: UserFunction | None = None
    request: UserFunction | None = None
    session_end: UserFunction | None = None
    simulation_end: UserFunction | None = None
    load: UserFunction | None = None
    agent_name: str = ""
    type: Any = None
    server: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)


def recognise(found: object, reference: str) -> VoiceCode | None:
    """`found` as code for livekit-agents; None when it is not: then it is for agenthost's own context.

    Raises EntrypointError for an object of livekit-agents that cannot be run.
    """
    if isinstance(found, AgentServer):
        return _of_server(found, reference)
    if isinstance(found, WorkerOptions):
        return _of_options(found, reference)
    if inspect.isclass(found) and issubclass(found, (AgentServer, WorkerOptions)):
        raise EntrypointError(f"`{reference}` is the class {found.__name__}: name the object made of it")
    if callable(found) and _takes_their_context(found):
        match _made_with(found):
            case AgentServer() as server:
                return _of_server(server, reference)
            case WorkerOptions() as options:
                return _of_options(options, reference)
            case _:
                return _of_function(found, reference)
    return None


def _of_server(server: Any, reference: str) -> VoiceCode:
    if server._entrypoint_fnc is None:
        name = reference.partition(":")[2] or "server"
        raise EntrypointError(_NO_SESSION.format(reference=reference, name=name))
    parameters = inspect.signature(AgentServer.__init__).parameters
    names = {"multiprocessing_context": "_mp_ctx_str"}
    defaults = {name: parameter.default for name, parameter in parameters.items() if name != "self"}
    return VoiceCode(
        reference=reference,
        entrypoint=_entrypoint("rtc_session", server._entrypoint_fnc),
        setup=_function("setup_fnc", server.setup_fnc, agents_worker._default_setup_fnc, takes="JobProcess"),
        request=_request("on_request", server._request_fnc),
        session_end=_function("on_session_end", server._session_end_fnc, takes="JobContext"),
        simulation_end=getattr(server, "_simulation_end_fnc", None),
        load=_load(server.load_fnc),
        agent_name=server._agent_name,
        type=server._server_type,
        server=server,
        options={name: getattr(server, names.get(name, f"_{name}"), default) for name, default in defaults.items()},
        defaults=defaults,
    )


def _of_options(options: Any, reference: str) -> VoiceCode:
    made = WorkerOptions(entrypoint_fnc=options.entrypoint_fnc)
    return VoiceCode(
        reference=reference,
        entrypoint=_entrypoint("entrypoint_fnc", options.entrypoint_fnc),
        setup=_function("prewarm_fnc", options.prewarm_fnc, agents_worker._default_setup_fnc, takes="JobProcess"),
        request=_request("request_fnc", options.request_fnc),
        load=_load(options.load_fnc),
        agent_name=options.agent_name,
        type=options.worker_type,
        options=dict(vars(options)),
        defaults=dict(vars(made)),
    )


def _of_function(function: UserFunction, reference: str) -> VoiceCode:
    return VoiceCode(reference=reference, entrypoint=as_awaitable(function, reference, wanted=WANTED))


def _entrypoint(option: str, function: UserFunction) -> Entrypoint:
    return as_awaitable(function, _given(option, function), wanted=WANTED)


def _request(option: str, function: UserFunction | None) -> UserFunction | None:
    """None for livekit-agents' own default."""
    if function is None or function == agents_worker._default_request_fnc:
        return None
    return as_awaitable(function, _given(option, function), wanted="give it an `async def` that takes the JobRequest")


def _function(
    option: str, function: UserFunction | None, default: UserFunction | None = None, *, takes: str
) -> UserFunction | None:
    """What the user gave as `option`, to be called with `takes`; None for livekit-agents' own default."""
    if function is None or function == default:
        return None
    wanted = f"give it a function that takes the {takes}"
    return as_callable(function, _given(option, function), arguments=(1,), wanted=wanted)


def _load(function: UserFunction | None) -> UserFunction | None:
    """None for livekit-agents' own default."""
    if function is None or function == agents_worker._DefaultLoadCalc.get_load:
        return None
    wanted = "give it a function that takes the AgentServer, or nothing"
    return as_callable(function, _given("load_fnc", function), arguments=(0, 1), wanted=wanted)


def _given(option: str, function: object) -> str:
    name = getattr(function, "__name__", "")
    return f"{option}={name}" if name else option


def _takes_their_context(function: UserFunction) -> bool:
    """By the annotation of its argument; without one, by whether its module imports anything of livekit-agents."""
    annotation = _context_annotation(function)
    if annotation is not None:
        return inspect.isclass(annotation) and issubclass(annotation, JobContext)
    namespace = getattr(inspect.unwrap(function), "__globals__", {})
    return any(_is_theirs(value) for value in list(namespace.values()))


def _context_annotation(function: UserFunction) -> object | None:
    try:
        hints = get_type_hints(inspect.unwrap(function))
        first = next(iter(inspect.signature(function).parameters))
    except Exception:  # no signature, no parameter, or an annotation that cannot be evaluated: it says nothing
        return None
    return hints.get(first)


def _is_theirs(value: object) -> bool:
    name = value.__name__ if isinstance(value, ModuleType) else getattr(value, "__module__", None)
    return isinstance(name, str) and (name == "livekit.agents" or name.startswith("livekit.agents."))


def _made_with(function: UserFunction) -> Any:
    """The server or options in its module that have `function` as their entrypoint: what else they say counts, too."""
    module = sys.modules.get(getattr(function, "__module__", ""))
    for value in list(vars(module).values()) if module is not None else []:
        if isinstance(value, AgentServer) and value._entrypoint_fnc is function:
            return value
        if isinstance(value, WorkerOptions) and value.entrypoint_fnc is function:
            return value
    return None
