"""`AgentCode`: an agent's user code, imported and checked. Runs in each process; in the template where it is shared."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec import Struct

from agenthost.child.deferred_filters import FILTERS, DeferredFilters
from agenthost.child.entrypoint import Entrypoint, as_awaitable, as_callable, resolve
from agenthost.child.framework import Framework, find_framework
from agenthost.child.user_modules import claim
from agenthost.ipc.messages import CodeSpec
from agenthost.jobs import ActiveJob

UserFunction = Callable[..., Any]

ServerLoad = Callable[[Mapping[str, ActiveJob], str], Awaitable[Any]]
"""Of the active jobs by their ids, and the worker's id."""

_ENTRYPOINT = "an entrypoint is an `async def` that takes the job's context: `async def entrypoint(ctx)`"
_PREWARM = "prewarm is a function that takes the process: `def prewarm(proc)`"
_SESSION_END = "session_end is a function that takes the job's context: `async def session_end(ctx)`"
_HANDLER = "requests.handler is an `async def` that takes the job request: `async def handler(req)`"
_LOAD = "a load function takes nothing, or the number of active jobs, and returns a number"


class AgentCode(Struct, frozen=True, kw_only=True):
    """None: neither the file nor the code names one. `framework` is what the code is written for, if not agenthost.

    `load` takes the number of active jobs, `server_load` is what the framework makes of one that takes its server.
    `filters` are the audio filters that imports asked for; a process that runs a job loads them.
    """

    spec: CodeSpec
    entrypoint: Entrypoint
    framework: Framework | None = None
    filters: DeferredFilters = FILTERS
    prewarm: UserFunction | None = None
    session_end: UserFunction | None = None
    handler: UserFunction | None = None
    load: UserFunction | None = None
    server_load: ServerLoad | None = None


def load_code(spec: CodeSpec) -> AgentCode:
    """Import everything that `spec` names. Raises EntrypointError for the first thing that cannot be used.

    Environment, working directory and sys.path must be the agent's already. The callables may be sync or async,
    but the entrypoint and the handler must be awaitable.
    """
    claim(one for one in (spec.entrypoint, spec.prewarm, spec.session_end, spec.handler, spec.load) if one)
    with FILTERS:
        framework, entrypoint = _entrypoint(spec)
        return complete_code(spec, framework, entrypoint)


def complete_code(spec: CodeSpec, framework: Framework | None, entrypoint: Entrypoint) -> AgentCode:
    """The entrypoint, with what else the file names. Raises EntrypointError."""
    code = AgentCode(
        spec=spec,
        entrypoint=entrypoint,
        framework=framework,
        prewarm=_function(spec.prewarm, (1,), _PREWARM),
        session_end=_function(spec.session_end, (1,), _SESSION_END),
        handler=_handler(spec.handler),
        load=_function(spec.load, (0, 1), _LOAD),
    )
    if framework is None:
        return code
    framework.prepare()
    return framework.complete(code)


def reported(code: AgentCode) -> dict[str, Any] | None:
    """What the host is told of code for another framework; None for our own."""
    return None if code.framework is None else code.framework.values.encode()


def _entrypoint(spec: CodeSpec) -> tuple[Framework | None, Entrypoint]:
    reference = spec.entrypoint
    if not reference:
        return None, _only_routes
    found = resolve(reference) if ":" in reference else None
    framework = find_framework(found, spec)
    if framework is not None:
        return framework, framework.entrypoint
    return None, as_awaitable(found, reference, wanted=_ENTRYPOINT)


async def _only_routes(ctx: Any) -> None:
    """Stands for the entrypoint of an agent that has none; the rules never choose such an agent for a job."""
    raise RuntimeError("this agent has no entrypoint: it only routes")


def _handler(reference: str | None) -> UserFunction | None:
    return None if reference is None else as_awaitable(resolve(reference), reference, wanted=_HANDLER)


def _function(reference: str | None, arguments: tuple[int, ...], wanted: str) -> UserFunction | None:
    if reference is None:
        return None
    return as_callable(resolve(reference), reference, arguments=arguments, wanted=wanted)
