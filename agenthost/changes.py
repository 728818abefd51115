"""`diff`: what the difference of two plans means for a running host. Pure.

Which change needs what comes from the field table (`Apply`), so the reference page, `explain` and a reload cannot
disagree. What is no key of an agent (its code, the environment it starts from) is compared here by name.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass

from agenthost.config.fields import Apply, Spec
from agenthost.config.host_fields import FILE
from agenthost.config.model import AgentConfig, Config
from agenthost.plan import AgentPlan, Plan

CODE = "code"
ENVIRONMENT = "environment"
_NOT_COMPARED = frozenset({"place", "id", "written"})
_SPELLED = {
    "log.level": "log_level",
    "log.levels": "log_levels",
    "log.format": "log_format",
    "log.rename": "log_format",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentChange:
    """What changes for one agent. Each tuple holds the paths that are the reason, in the file's spelling.

    `added` and `removed` exclude everything else; an agent with no reason at all is kept as it is. `successor` is the
    id of the added agent that a removed one goes on as, "" if none: only its id is another.
    """

    agent: str
    live: tuple[str, ...] = ()
    registration: tuple[str, ...] = ()
    generation: tuple[str, ...] = ()
    added: bool = False
    removed: bool = False
    successor: str = ""

    @property
    def kinds(self) -> tuple[str, ...]:
        """The words for it, strongest first; `kept` alone when nothing changes."""
        named = (
            ("added", self.added),
            ("removed", self.removed),
            ("new generation", bool(self.generation)),
            ("new registration", bool(self.registration)),
            ("live", bool(self.live)),
        )
        return tuple(word for word, holds in named if holds) or ("kept",)

    @property
    def reasons(self) -> tuple[str, ...]:
        return (*self.generation, *self.registration, *self.live)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanChange:
    """`agents` has every agent of both plans, new ones last; `base` and `host` are the changed host keys."""

    agents: tuple[AgentChange, ...]
    base: tuple[str, ...] = ()
    host: tuple[str, ...] = ()

    @property
    def nothing(self) -> bool:
        return not self.base and not self.host and all(change.kinds == ("kept",) for change in self.agents)


def diff(old: Plan, new: Plan) -> PlanChange:
    """Everything that has to happen to turn a host of `old` into one of `new`."""
    host = sorted(set(_changed_host_keys(old.config, new.config)))
    base = tuple(path for path in host if _apply(FILE, path) is Apply.BASE)
    shared = _reasons_for_all(old, new, host, base)
    heirs = _successors(old, new)
    changes = [
        _agent_change(agent, new.agents[key], shared)
        if key in new.agents
        else AgentChange(agent=key, removed=True, successor=heirs.get(key, ""))
        for key, agent in old.agents.items()
    ]
    changes += [AgentChange(agent=key, added=True) for key in new.agents if key not in old.agents]
    told = {*base, *(path for reasons in shared.values() for path in reasons)}
    return PlanChange(agents=tuple(changes), base=base, host=tuple(path for path in host if path not in told))


def _reasons_for_all(old: Plan, new: Plan, host: list[str], base: tuple[str, ...]) -> Mapping[Apply, tuple[str, ...]]:
    """Host keys that reach every agent: the server's address, what jobs start from, what the base imports."""
    registration = tuple(path for path in host if _apply(FILE, path) is Apply.REGISTRATION)
    generation = [path for path in host if _apply(FILE, path) is Apply.GENERATION]
    if _seen(old.config.environment) != _seen(new.config.environment):
        generation.append(ENVIRONMENT)
    # What user code finds in its environment besides: where the server is, and the pair if the file lets it.
    pair = {"livekit.api_key", "livekit.api_secret"} if new.config.livekit.secret_in_jobs else set()
    shown = {"livekit.url", *pair}
    generation += [path for path in registration if path in shown]
    return {Apply.REGISTRATION: registration, Apply.GENERATION: (*base, *generation)}


def _seen(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that user code gets to see: never the key or the secret."""
    return {name: value for name, value in environment.items() if not name.startswith("LIVEKIT_API_")}


def _successors(old: Plan, new: Plan) -> Mapping[str, str]:
    """Who goes on for an agent that is gone: the one that registers alike, else one that runs the same entrypoint."""
    gone = [agent for key, agent in old.agents.items() if key not in new.agents]
    come = [agent for key, agent in new.agents.items() if key not in old.agents]
    found: dict[str, str] = {}
    for is_heir in (_registers_alike, _runs_alike):
        for agent in gone:
            heirs = (one.id for one in come if one.id not in found.values() and is_heir(agent, one))
            heir = next(heirs, "") if agent.id not in found else ""
            if heir:
                found[agent.id] = heir
    return found


def _registers_alike(old: AgentPlan, new: AgentPlan) -> bool:
    return old.registration is not None and new.registration is not None and new.registration.is_alike(old.registration)


def _runs_alike(old: AgentPlan, new: AgentPlan) -> bool:
    registered = old.registration is not None and new.registration is not None
    return registered and (old.config.entrypoint, old.config.type) == (new.config.entrypoint, new.config.type)


def _agent_change(old: AgentPlan, new: AgentPlan, shared: Mapping[Apply, tuple[str, ...]]) -> AgentChange:
    by_class: dict[Apply, list[str]] = {apply: [] for apply in Apply}
    for path in sorted(set(_changed(old.config, new.config))):
        by_class[_apply(FILE.children["agents"], path) or Apply.LIVE].append(path)
    code = [CODE] if old.code != new.code else []
    return AgentChange(
        agent=old.id,
        live=tuple(by_class[Apply.LIVE]),
        registration=(*by_class[Apply.REGISTRATION], *shared[Apply.REGISTRATION]),
        generation=(*by_class[Apply.GENERATION], *code, *shared[Apply.GENERATION]),
    )


def _changed_host_keys(old: Config, new: Config) -> Iterator[str]:
    compared = ("livekit", "log", "http", "control_socket", "preload", "timezone", "reload", "load")
    for name in compared:
        for path in _changed_value(getattr(old, name), getattr(new, name), name):
            path = _SPELLED.get(path, path)
            yield {"http.host": "http.listen", "http.port": "http.listen", "control_socket": "control.socket"}.get(
                path, path
            )


def _changed(old: AgentConfig, new: AgentConfig) -> Iterator[str]:
    for entry in fields(old):
        if entry.name not in _NOT_COMPARED:
            yield from _changed_value(getattr(old, entry.name), getattr(new, entry.name), entry.name)


def _changed_value(old: object, new: object, path: str) -> Iterator[str]:
    """The dotted paths below `path` at which two values of one type differ; positions in the file do not count."""
    if is_dataclass(old) and is_dataclass(new) and type(old) is type(new):
        for entry in fields(old):
            if entry.name not in _NOT_COMPARED:
                yield from _changed_value(getattr(old, entry.name), getattr(new, entry.name), f"{path}.{entry.name}")
    elif isinstance(old, tuple) and isinstance(new, tuple) and len(old) == len(new):
        if any(next(_changed_value(a, b, path), None) is not None for a, b in zip(old, new, strict=True)):
            yield path
    elif isinstance(old, Mapping) and isinstance(new, Mapping):
        if dict(old) != dict(new):
            yield path
    elif old != new:
        yield path


def _apply(spec: Spec, path: str) -> Apply | None:
    """The class of the innermost field on the way to `path` that has one."""
    found = None
    for name in path.split("."):
        child = spec.children.get(name)
        if child is None:
            break
        spec, found = child, child.field.apply or found
    return found
