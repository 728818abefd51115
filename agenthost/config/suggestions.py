"""What somebody who wrote an unknown key or value probably meant: typing errors, other systems' names, other places.

Pure; the names come from the field table, only those of other systems are written here.
"""

import difflib
import re
from collections.abc import Iterable
from functools import cache

from msgspec import Struct

from agenthost.config.fields import Kind, Spec, descend
from agenthost.config.host_fields import AGENT_KEYS, FILE, HOST_KEYS

FOREIGN_NAMES = {
    "entrypoint_fnc": "entrypoint",
    "entry": "entrypoint",
    "module": "entrypoint",
    "main": "entrypoint",
    "prewarm_fnc": "prewarm",
    "setup_fnc": "prewarm",
    "request_fnc": "requests.handler",
    "on_request": "requests.handler",
    "job_request_fnc": "requests.handler",
    "on_session_end": "session_end",
    "session_end_fnc": "session_end",
    "load_fnc": "load.custom",
    "load_threshold": "load.cpu",
    "max_concurrent_jobs": "load.max_jobs",
    "concurrency": "load.max_jobs",
    "ws_url": "livekit.url",
    "livekit_url": "livekit.url",
    "url": "livekit.url",
    "api_key": "livekit.api_key",
    "livekit_api_key": "livekit.api_key",
    "api_secret": "livekit.api_secret",
    "livekit_api_secret": "livekit.api_secret",
    "http_proxy": "livekit.proxy",
    "https_proxy": "livekit.proxy",
    "host": "http.listen",
    "port": "http.listen",
    "health_port": "http.listen",
    "prometheus_port": "http.listen",
    "worker_type": "type",
    "job_type": "type",
    "server_type": "type",
    "name": "agent_name",
    "agent": "agent_name",
    "environment": "env",
    "env_vars": "env",
    "workdir": "working_dir",
    "cwd": "working_dir",
    "args": "arguments",
    "argv": "arguments",
    "multiprocessing_context": "start_method",
    "mp_context": "start_method",
    "preload_modules": "preload",
    "initialize_process_timeout": "limits.init",
    "init_timeout": "limits.init",
    "shutdown_process_timeout": "limits.shutdown",
    "shutdown_timeout": "limits.shutdown",
    "session_end_timeout": "limits.session_end",
    "unresponsive_timeout": "limits.unresponsive",
    "job_memory_warn_mb": "limits.memory_warn",
    "job_memory_limit_mb": "limits.memory",
    "memory_limit": "limits.memory",
    "max_job_duration": "limits.max_duration",
    "empty_room_timeout": "limits.empty_room",
    "stop_grace_period": "drain_timeout",
    "grace_period": "drain_timeout",
    "logging": "log_format",
    "loglevel": "log_level",
    "rules": "requests.rules",
    "accept": "requests.accept",
    "default_action": "requests.otherwise",
    "fallback": "requests.otherwise",
    "default": "requests.otherwise",
    "warm_processes": "num_idle_processes",
    "idle_processes": "num_idle_processes",
    "worker_permissions": "permissions",
    "if": "when",
    "match": "when",
    "condition": "when",
    "then": "action",
    "function": "callable",
    "threshold": "limit",
}
"""Key of another system → ours, as a path inside the file or agent (or, for the last few, in the same section)."""

WITHOUT_COUNTERPART = {
    "max_retry": "the host reconnects for ever; remove it",
    "job_executor_type": "every job runs in a process of its own; remove it",
    "executor_type": "every job runs in a process of its own; remove it",
    "prometheus_multiproc_dir": "metrics need no directory; remove it",
    "user_arguments": "hand values to your code with `settings`",
    "restart_policy": "write `restart: on-failure`",
    "replicas": "start more hosts; one host runs up to `load.max_jobs` jobs",
}


class Suggestion(Struct, frozen=True, kw_only=True):
    """What was probably meant. `rename` is the key to write in the same place, empty when it is not that simple."""

    hint: str
    rename: str = ""
    foreign: bool = False


def suggest_key(written: str, section: Spec, present: Iterable[str]) -> Suggestion:
    """What the unknown key `written` in `section` was meant to be; `present` are the keys already there."""
    free = [name for name in section.children if name not in set(present)]
    snake = _snake_case(written)
    if snake != written and snake in free:
        return Suggestion(hint=f"here it is `{snake}`", rename=snake, foreign=True)
    if snake != written and snake in section.children:
        return Suggestion(hint=f"here it is `{snake}`, which is already written", foreign=True)
    if snake in WITHOUT_COUNTERPART:
        return Suggestion(hint=WITHOUT_COUNTERPART[snake], foreign=True)
    foreign = _foreign(snake, section, free)
    if foreign is not None:
        return foreign
    close = difflib.get_close_matches(snake, free, n=1, cutoff=0.7)
    if close:
        return Suggestion(hint=f"did you mean `{close[0]}`?", rename=close[0])
    elsewhere = _elsewhere(snake, section)
    if elsewhere:
        return Suggestion(hint=elsewhere)
    return Suggestion(hint=_known_keys(section))


def suggest_value(written: str, choices: Iterable[str]) -> str:
    """The allowed value that `written` resembles, or an empty text."""
    allowed = list(choices)
    by_fold = {choice.lower().replace("-", "_"): choice for choice in allowed}
    folded = written.lower().replace("-", "_")
    synonyms = {"warn": "WARNING", "fatal": "CRITICAL", "allow": "accept", "on_failure": "on-failure"}
    if folded in by_fold:
        return by_fold[folded]
    if synonyms.get(folded) in allowed:
        return synonyms[folded]
    close = difflib.get_close_matches(folded, by_fold, n=1, cutoff=0.6)
    return by_fold[close[0]] if close else ""


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()


def _foreign(name: str, section: Spec, free: list[str]) -> Suggestion | None:
    target = FOREIGN_NAMES.get(name)
    if target is None:
        return None
    if target in free:
        return Suggestion(hint=f"here it is `{target}`", rename=target, foreign=True)
    if section.field.path in ("", "agents", "agents.*") and target not in ("when", "action", "callable", "limit"):
        top = target.partition(".")[0]
        where = "" if top in section.children else " at the top level"
        return Suggestion(hint=f"here it is {_as_written(target)}{where}", foreign=True)
    return None


def _as_written(path: str) -> str:
    """A path as it stands in a file: `load.cpu` → `load: { cpu: … }`."""
    *parents, last = path.split(".")
    if not parents:
        return f"`{last}`"
    return "`" + "".join(f"{parent}: {{ " for parent in parents) + f"{last}: …" + " }" * len(parents) + "`"


@cache
def _places() -> dict[str, tuple[str, ...]]:
    """Every key name with the paths where it may stand, agents' own first."""
    places: dict[str, list[str]] = {}
    agent = FILE.children["agents"]
    for path, spec in [*descend(agent), *descend(FILE)]:
        if not path.startswith(("profiles", "tests", "agents", "requests.rules[].accept")):
            known = places.setdefault(spec.field.name, [])
            known += [path] if path not in known else []
    return {name: tuple(paths) for name, paths in places.items()}


def _elsewhere(name: str, section: Spec) -> str:
    close = difflib.get_close_matches(name, _places(), n=1, cutoff=0.8)
    if not close:
        return ""
    path = _places()[close[0]][0]
    if "." not in path and path in HOST_KEYS and path not in AGENT_KEYS:
        return f"`{path}` belongs at the top level of the file"
    if "." not in path:
        return f"`{path}` belongs to the agent, not in here"
    inside = f"{section.field.path}."
    return f"did you mean {_as_written(path.removeprefix(inside))}?"


def _known_keys(section: Spec) -> str:
    names = list(section.children)
    if section.field.kind is Kind.SECTION and 0 < len(names) <= 8:
        return "known here: " + ", ".join(f"`{name}`" for name in names)
    return "`agenthost explain` lists the keys"
