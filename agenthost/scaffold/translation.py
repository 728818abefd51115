"""From the options of livekit-agents to the keys of an agenthost file, with notes on what has no counterpart. Pure."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct, field

from agenthost.config.units import format_duration
from agenthost.scaffold.expressions import Call, Function, Literal, Named, Value, Variable
from agenthost.scaffold.script import Script, Setting, describe

Keys = tuple[str, ...]


class Translation(Struct, frozen=True, kw_only=True):
    """`keys` is the file's data, nested; `notes` are sentences about what the reader has to decide."""

    keys: Mapping[str, Any]
    notes: tuple[str, ...]


class _NotTaken(Exception):
    """An option cannot be taken over; the text says why, and what to do."""


class _Target(Struct, kw_only=True):
    """The file while it is being put together."""

    keys: dict[str, Any] = field(default_factory=dict)

    def put(self, path: Keys, value: Any) -> None:
        section = self.keys
        for key in path[:-1]:
            section = section.setdefault(key, {})
        section[path[-1]] = value


def translate(script: Script) -> Translation:
    """Every option of the script as a key, or as a note that says why not."""
    target, notes = _Target(), []
    unset = Literal(value=None)  # how a script says "the default"
    options = {setting.name: setting for setting in script.settings if setting.value != unset}
    if script.whole:
        target.put(("entrypoint",), script.name)
    for setting in options.values():
        if script.whole and setting.name in _FUNCTIONS:
            continue  # taken over from the code when it is run
        try:
            _translate(setting, options, target)
        except _NotTaken as reason:
            notes.append(f"{setting.name} ({script.name}:{setting.line}): {reason}")
    return Translation(keys=target.keys, notes=tuple(notes))


def _translate(setting: Setting, options: Mapping[str, Setting], target: _Target) -> None:
    name = setting.name
    if name in ("load_fnc", "load_threshold"):
        _translate_load(setting, options, target)
    elif name in ("host", "port"):
        _translate_listen(options, target)
    elif name in _SPECIAL:
        _SPECIAL[name](setting.value, target)
    elif name in _PLAIN:
        path, convert = _PLAIN[name]
        value = convert(setting.value)
        if value is not None:
            target.put(path, value)
    elif name in _UNNEEDED:
        raise _NotTaken(_UNNEEDED[name])
    else:
        raise _NotTaken(f"no key corresponds to it; it is set to {describe(setting.value)}")


# ── single values ────────────────────────────────────────────────────────────────────────────────────────────


def _reference(value: Value) -> str:
    if isinstance(value, Function):
        return value.reference
    raise _NotTaken(f"name a function at the top of a module instead of {describe(value)}")


def _text(value: Value) -> str:
    if isinstance(value, Variable):
        return _variable(value)
    if isinstance(value, Literal) and isinstance(value.value, str):
        return value.value
    raise _computed(value)


def _variable(value: Variable) -> str:
    if value.default is not None:
        return f"${{{value.name}:-{value.default}}}"
    return f"${{{value.name}}}" if value.required else f"${{{value.name}:-}}"


def _count(value: Value) -> Any:
    if isinstance(value, Literal) and isinstance(value.value, int) and not isinstance(value.value, bool):
        return value.value
    if isinstance(value, Variable):
        return _variable(value)
    raise _computed(value)


def _seconds(value: Value) -> str:
    number = _number(value)
    return "forever" if math.isinf(number) else format_duration(number)


def _megabytes(value: Value) -> str | None:
    number = _number(value)
    return f"{number:g}MB" if number else None  # 0 is how the options say "no limit"


def _number(value: Value) -> float:
    if isinstance(value, Literal) and isinstance(value.value, int | float) and not isinstance(value.value, bool):
        return value.value
    raise _computed(value)


def _computed(value: Value) -> _NotTaken:
    return _NotTaken(f"write the value of {describe(value)} yourself")


def _job_type(value: Value) -> str:
    kind = value.name.rpartition(".")[2].lower() if isinstance(value, Named) else ""
    if kind in ("room", "publisher"):
        return kind
    raise _computed(value)


def _log_level(value: Value) -> str:
    level = _text(value).upper()
    return "WARNING" if level == "WARN" else level


def _modules(value: Value) -> list[Any]:
    if isinstance(value, Literal) and isinstance(value.value, list):
        return value.value
    raise _computed(value)


_PLAIN: Mapping[str, tuple[Keys, Callable[[Value], Any]]] = {
    "entrypoint_fnc": (("entrypoint",), _reference),
    "prewarm_fnc": (("prewarm",), _reference),
    "session_end_fnc": (("session_end",), _reference),
    "request_fnc": (("requests", "handler"), _reference),
    "agent_name": (("agent_name",), _text),
    "type": (("type",), _job_type),
    "initialize_process_timeout": (("limits", "init"), _seconds),
    "shutdown_process_timeout": (("limits", "shutdown"), _seconds),
    "session_end_timeout": (("limits", "session_end"), _seconds),
    "job_memory_warn_mb": (("limits", "memory_warn"), _megabytes),
    "job_memory_limit_mb": (("limits", "memory"), _megabytes),
    "drain_timeout": (("drain_timeout",), _seconds),
    "log_level": (("log_level",), _log_level),
    "preload_modules": (("preload",), _modules),
    "ws_url": (("livekit", "url"), _text),
    "http_proxy": (("livekit", "proxy"), _text),
    "env_file": (("env_file",), _text),
}

_FUNCTIONS = frozenset({"entrypoint_fnc", "prewarm_fnc", "session_end_fnc", "request_fnc", "load_fnc"})

_UNNEEDED: Mapping[str, str] = {
    "job_executor_type": "every job runs in a process of its own",
    "max_retry": "the host reconnects for ever",
    "prometheus_port": "metrics are served at /metrics of `http.listen`",
    "prometheus_multiproc_dir": "metrics need no directory",
    "on_simulation_end": "simulations are not run by the host",
    "devmode": "`agenthost dev` and `agenthost start` are the two modes",
    "**": "options that are unpacked cannot be read; write them yourself",
}

# ── options that become something else ───────────────────────────────────────────────────────────────────────


def _translate_load(setting: Setting, options: Mapping[str, Setting], target: _Target) -> None:
    """A function of the user's own is compared with the threshold; without one the threshold is about the CPU."""
    function, threshold = options.get("load_fnc"), options.get("load_threshold")
    limit = _production(threshold.value) if threshold is not None else Literal(value=0.7)
    if function is not None:
        if setting is function:
            target.put(("load", "custom"), {"callable": _reference(function.value), "limit": _number(limit)})
        return
    number = _number(limit)
    if math.isinf(number):
        raise _NotTaken("an infinite threshold is no limit; write `load: { max_jobs: … }` to have one")
    target.put(("load", "cpu"), f"{number * 100:g}%")


def _translate_listen(options: Mapping[str, Setting], target: _Target) -> None:
    host = _text(options["host"].value) if "host" in options else ""
    port = _production(options["port"].value) if "port" in options else Literal(value=8081)
    target.put(("http", "listen"), f"{host or '0.0.0.0'}:{_count(port)}")


def _idle_processes(value: Value, target: _Target) -> None:
    target.put(("num_idle_processes",), _count(_production(value)))
    development = _by_mode(value)[0]
    if development is not None:
        target.put(("profiles", "dev", "num_idle_processes"), _count(development))


def _production(value: Value) -> Value:
    """Of an option with one value for development and one for production the latter, else the value itself."""
    return _by_mode(value)[1] or value


def _by_mode(value: Value) -> tuple[Value | None, Value | None]:
    """What a `ServerEnvOption` holds for development and for production."""
    if not isinstance(value, Call) or not value.name.endswith(".ServerEnvOption"):
        return None, None
    both: list[Value | None] = [*value.positional, None, None]
    return value.keywords.get("dev_default", both[0]), value.keywords.get("prod_default", both[1])


def _permissions(value: Value, target: _Target) -> None:
    if not isinstance(value, Call) or value.positional:
        raise _computed(value)
    left = []
    for name, wanted in value.keywords.items():
        if isinstance(wanted, Literal) and isinstance(wanted.value, bool):
            target.put(("permissions", name), wanted.value)
        elif not (isinstance(wanted, Literal) and wanted.value == []):
            left.append(name)
    if left:
        raise _NotTaken(f"write {', '.join(f'`{name}`' for name in left)} yourself")


def _start_method(value: Value, target: _Target) -> None:
    method = _text(value)
    if method == "spawn":
        target.put(("start_method",), "spawn")
    elif method not in ("fork", "forkserver"):
        raise _computed(value)


def _credential(value: Value, target: _Target, *, key: str) -> None:
    """Never copied: a literal is a secret in a file, and the file takes none."""
    if not isinstance(value, Variable):
        raise _NotTaken(f"it belongs in the environment, as LIVEKIT_{key.upper()}; it was not copied")
    target.put(("livekit", key), f"${{{value.name}}}")


_SPECIAL: Mapping[str, Callable[[Value, _Target], None]] = {
    "num_idle_processes": _idle_processes,
    "permissions": _permissions,
    "multiprocessing_context": _start_method,
    "api_key": lambda value, target: _credential(value, target, key="api_key"),
    "api_secret": lambda value, target: _credential(value, target, key="api_secret"),
}
