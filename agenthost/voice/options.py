"""livekit-agents' options → `CodeValues`: taken over where the user set them, or passed over by name.

Runs where the code is imported first. An option counts as set when its value is not livekit-agents' own default. One
that says where and as whom the agent serves is refused if the host does otherwise: it would serve other callers.
"""

import math
import os
from collections.abc import Mapping
from typing import Any

from livekit.agents import WorkerType, utils
from livekit.agents.types import NOT_GIVEN
from livekit.agents.version import __version__
from livekit.agents.worker import WorkerPermissions
from livekit.protocol.models import TrackSource

from agenthost.code_values import CodeValues
from agenthost.errors import EntrypointError
from agenthost.voice.code import VoiceCode

FRAMEWORK = f"livekit-agents {__version__}"

MIB = 1024 * 1024
_DEFAULT_LOAD_THRESHOLD = 0.7

_LIMITS = {
    "initialize_process_timeout": ("init", 1),
    "shutdown_process_timeout": ("shutdown", 1),
    "session_end_timeout": ("session_end", 1),
    "job_memory_warn_mb": ("memory_warn", MIB),
    "job_memory_limit_mb": ("memory", MIB),
}

_FUNCTIONS = frozenset({"entrypoint_fnc", "request_fnc", "prewarm_fnc", "setup_fnc", "load_fnc"})
_ELSEWHERE = frozenset({"agent_name", "worker_type", "permissions", "load_threshold", "preload_modules"})
_PLAIN = frozenset({"num_idle_processes", "drain_timeout"})
_TAKEN = frozenset(_LIMITS) | _FUNCTIONS | _ELSEWHERE | _PLAIN

_FROM_ENVIRONMENT: Mapping[str, tuple[str, ...]] = {
    "ws_url": ("LIVEKIT_URL",),
    "api_key": ("LIVEKIT_API_KEY",),
    "api_secret": ("LIVEKIT_API_SECRET",),
    "http_proxy": ("HTTPS_PROXY", "HTTP_PROXY"),
}

_REFUSED = {
    "ws_url": "write `livekit.url` in the file, or set LIVEKIT_URL",
    "api_key": "set LIVEKIT_API_KEY, or write `livekit.api_key`",
    "api_secret": "set LIVEKIT_API_SECRET, or write `livekit.api_secret`",
}

_PASSED_OVER = {
    "ws_url": "the host has its own",
    "api_key": "the host has its own",
    "api_secret": "the host has its own",
    "http_proxy": "write `livekit.proxy`",
    "host": "write `http.listen`",
    "port": "write `http.listen`",
    "log_level": "write `log_level`",
    "job_executor_type": "every job has a process of its own",
    "max_retry": "the host registers again for ever",
    "multiprocessing_context": "write `start_method`",
    "prometheus_port": "the metrics are at /metrics of `http.listen`",
    "prometheus_multiproc_dir": "the metrics are at /metrics of `http.listen`",
}
"""What holds instead, or what to write."""


def code_values(code: VoiceCode) -> CodeValues:
    """What `code` says. Raises EntrypointError that names every option by which it would serve others than the host."""
    given = {name: value for name, value in code.options.items() if _is_given(name, value, code)}
    refused = [name for name in _REFUSED if name in given and _inherited(name)]  # else the file withholds the host's
    if refused:
        told = "; ".join(f"`{name}` ({_REFUSED[name]})" for name in refused)
        raise EntrypointError(f"`{code.reference}` wants another LiveKit server, or another key, than the host: {told}")
    passed_over = {name: _PASSED_OVER.get(name, "agenthost knows no such option") for name in given.keys() - _TAKEN}
    values = {name: _plain(value) for name, value in given.items()}
    threshold = values.get("load_threshold", _DEFAULT_LOAD_THRESHOLD)
    limit = threshold if math.isfinite(threshold) else None
    return CodeValues(
        framework=FRAMEWORK,
        agent_name=_agent_name(code),
        type=_job_type(code.type),
        deployment=os.environ.get("LIVEKIT_AGENT_DEPLOYMENT") or None,
        permissions=_permissions(values.get("permissions")),
        prewarm=code.setup is not None,
        handler=code.request is not None,
        load=code.load is not None,
        load_limit=limit if code.load is not None else None,
        cpu_limit=limit if code.load is None and "load_threshold" in values else None,
        num_idle_processes=values.get("num_idle_processes"),
        drain_timeout=values.get("drain_timeout"),
        passed_over=dict(sorted(passed_over.items())),
        limits={key: values[name] * unit for name, (key, unit) in _LIMITS.items() if values.get(name)},
    )


def _is_given(name: str, value: object, code: VoiceCode) -> bool:
    if name == "ws_url" and isinstance(value, str):
        return bool(value) and _same_url(value) != _same_url(_inherited(name))
    if name in _FROM_ENVIRONMENT:
        return bool(value) and value is not NOT_GIVEN and value != _inherited(name)
    return bool(value != code.defaults.get(name)) and not (value in (None, []) and not code.defaults.get(name))


def _inherited(name: str) -> str:
    """What the environment has for the option; of the host's own key and secret "" where the file withholds them."""
    return next((found for key in _FROM_ENVIRONMENT[name] if (found := os.environ.get(key))), "")


def _same_url(url: str) -> str:
    """One form for all that livekit-agents takes for one server."""
    scheme, _, rest = url.partition("://")
    return f"{scheme.replace('http', 'ws')}://{rest.rstrip('/')}"


def _plain(value: Any) -> Any:
    """The value for this mode of livekit-agents, where an option has one for development and one for production."""
    option = getattr(value, "getvalue", None)
    return option(value, utils.is_dev_mode()) if option is not None else value


def _agent_name(code: VoiceCode) -> str | None:
    """By livekit-agents' own order of precedence."""
    forced, fallback = (os.environ.get(name) for name in ("LIVEKIT_AGENT_NAME_OVERRIDE", "LIVEKIT_AGENT_NAME"))
    return forced or code.agent_name or fallback or None


def _job_type(server_type: Any) -> str | None:
    if server_type is None:
        return None
    return "publisher" if server_type is WorkerType.PUBLISHER else "room"


def _permissions(permissions: Any) -> dict[str, Any]:
    if permissions is None:
        return {}
    said = {key: value for key, value in vars(permissions).items() if value != getattr(WorkerPermissions(), key)}
    if "can_publish_sources" in said:
        said["can_publish_sources"] = [TrackSource.Name(source).lower() for source in said["can_publish_sources"]]
    return said
