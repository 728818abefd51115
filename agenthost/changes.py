"""`diff`: what the difference of two plans means for a running host. Pure.

Which change needs what comes from the field table (`Apply`), so the reference page, `explain` and a reload cannot
disagree. What is no key of an agent (its code, the environment it starts from) is compared here by name.
"""

from collections.abc import Mapping

from msgspec import Struct

from agenthost.config.fields import Apply, Spec, fields_along
from agenthost.config.host_fields import FILE
from agenthost.config.model import Config
from agenthost.differences import Difference, differences
from agenthost.plan import AgentPlan, Plan

CODE = "code"
ENVIRONMENT = "environment"


class AgentChange(Struct, frozen=True, kw_only=True):
    """What changes for one agent. Each tuple holds the paths that are the reason, in the file's spelling.

    `added` and `removed` exclude everything else; an agent with no reason at all is kept as it is. `successor` is the
    id of the added agent that a removed one goes on as, "" if none: only its id is another. `differences` tells its own
    keys' values.
    """

    agent: str
    live: tuple[str, ...] = ()
    registration: tuple[str, ...] = ()
    generation: tuple[str, ...] = ()
    added: bool = False
    removed: bool = False
    successor: str = ""
    differences: tuple[Difference, ...] = ()

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


class PlanChange(Struct, frozen=True, kw_only=True):
    """`agents` has every agent of both plans, new ones last; `base` and `host` are the changed host keys.

    `differences` tells the values of the host's keys, those that are reasons for an agent included.
    """

    agents: tuple[AgentChange, ...]
    base: tuple[str, ...] = ()
    host: tuple[str, ...] = ()
    differences: tuple[Difference, ...] = ()

    @property
    def nothing(self) -> bool:
        return not self.base and not self.host and all(change.kinds == ("kept",) for change in self.agents)


def diff(old: Plan, new: Plan) -> PlanChange:
    """Everything that has to happen to turn a host of `old` into one of `new`."""
    values = _host_differences(old.config, new.config)
    host = sorted(one.path for one in values if one.path != ENVIRONMENT)
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
    rest = tuple(path for path in host if path not in told)
    return PlanChange(agents=tuple(changes), base=base, host=rest, differences=values)


def _reasons_for_all(old: Plan, new: Plan, host: list[str], base: tuple[str, ...]) -> Mapping[Apply, tuple[str, ...]]:
    """Host keys that reach every agent: the server's address, what jobs start from, what the base imports."""
    registration = tuple(path for path in host if _apply(FILE, path) is Apply.REGISTRATION)
    generation = [path for path in host if _apply(FILE, path) is Apply.GENERATION]
    if old.config.environment != new.config.environment:
        generation.append(ENVIRONMENT)
    # What user code finds in its environment besides: where the server is, and the pair if the file lets it.
    pair = {"livekit.api_key", "livekit.api_secret"} if new.config.livekit.secret_in_jobs else set()
    shown = {"livekit.url", *pair}
    generation += [path for path in registration if path in shown]
    return {Apply.REGISTRATION: registration, Apply.GENERATION: (*base, *generation)}


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
    hidden = old.config.withheld | new.config.withheld
    found = tuple(differences(old.config, new.config, FILE.children["agents"], withheld=hidden))
    for path in sorted(one.path for one in found):
        by_class[_apply(FILE.children["agents"], path) or Apply.LIVE].append(path)
    code = [CODE] if old.code != new.code else []
    return AgentChange(
        agent=old.id,
        live=tuple(by_class[Apply.LIVE]),
        registration=(*by_class[Apply.REGISTRATION], *shared[Apply.REGISTRATION]),
        generation=(*by_class[Apply.GENERATION], *code, *shared[Apply.GENERATION]),
        differences=found,
    )


def _host_differences(old: Config, new: Config) -> tuple[Difference, ...]:
    hidden = old.withheld | new.withheld
    found = differences(_host_values(old), _host_values(new), FILE, withheld=hidden)
    before, after = old.environment, new.environment
    names = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    # Their names only: what variables hold is nobody's business.
    return (*found, *([Difference(path=ENVIRONMENT, note=", ".join(names))] if names else []))


def _host_values(config: Config) -> Mapping[str, object]:
    """What the host itself follows, by the keys of the file."""
    http, wanted = config.http, config.reload
    return {
        "livekit": config.livekit,
        "log_level": config.log.level,
        "log_levels": config.log.levels,
        "log_format": {"format": config.log.format, "rename": config.log.rename},
        "http": {"listen": None if http.host is None else f"{http.host}:{http.port}"},
        "control": {"socket": None if config.control_disabled else config.control_socket or "(default)"},
        "preload": config.preload,
        "timezone": str(config.timezone),
        "reload": {
            "watch": wanted.watch,
            "paths": wanted.paths,
            "debounce": wanted.debounce,
            "running_jobs": "rejoin" if wanted.rejoin else "finish",
        },
        "load": config.load,
    }


def _apply(spec: Spec, path: str) -> Apply | None:
    """The class of the innermost field on the way to `path` that has one."""
    return next((field.apply for field in reversed([*fields_along(spec, path)]) if field.apply), None)
