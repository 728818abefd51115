"""What a reload would make of the host: the file read again, the code looked at, both compared with what runs.

Runs on the host's loop; the file is read in a thread. Nothing here changes the host. Code is compared by the content of
its files, never imported.
"""

import asyncio
from collections.abc import Callable, Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from agenthost.changes import CODE, PlanChange, diff
from agenthost.config.examination import Loaded
from agenthost.config.model import Config
from agenthost.differences import Difference
from agenthost.errors import EnvironmentRefused
from agenthost.host.fleet import Fleet
from agenthost.plan import Plan, plan
from agenthost.status import ChangeLine
from agenthost.watching.fingerprints import digests, fingerprint
from agenthost.watching.places import Selection, survey

_MOST_NAMES = 4  # of files; who edited more knows which

Read = Callable[[], Loaded]


class Comparison(Struct, frozen=True, kw_only=True):
    """The new plan and what it changes.

    `jobs` are the running ones of each agent, `edited` the files of its code that differ (of the base's with "" as the
    agent); `paths` what the files behind `reload.paths` contain now.
    """

    plan: Plan
    change: PlanChange
    jobs: Mapping[str, int]
    edited: Mapping[str, tuple[str, ...]]
    paths: Mapping[Path, str]

    def lines(self) -> tuple[ChangeLine, ...]:
        """The same as it is told: the base and the host first, then every agent, kept ones included."""
        change = self.change
        lines = [self._line("", "base", change.base)] if change.base else []
        lines += [self._line("", "live", change.host)] if change.host else []
        for one in change.agents:
            heir = (f"goes on as `{one.successor}`",) if one.successor else ()
            reasons = {
                "new generation": one.generation,
                "new registration": one.registration,
                "live": one.live,
                "removed": heir,
            }
            lines += [self._line(one.agent, kind, reasons.get(kind, ()), one.differences) for kind in one.kinds]
        return tuple(lines)

    def _line(self, agent: str, kind: str, reasons: tuple[str, ...], own: tuple[Difference, ...] = ()) -> ChangeLine:
        files = self.edited.get(agent, ())
        code = [Difference(path=CODE, note=_few(files))] if files else []
        known = (*own, *self.change.differences, *code)
        told = {one.path: one for one in reversed(known)}  # an agent's own key before the host's of the same name
        return ChangeLine(
            agent=agent,
            kind=kind,
            reasons=reasons,
            differences=tuple(told[reason] for reason in reasons if reason in told),
            jobs=self.jobs.get(agent, 0),
        )


async def compare(fleet: Fleet, read: Read, paths: Mapping[Path, str]) -> Comparison:
    """Read everything again, and see what is different; `paths` is what `reload.paths` contained at the last reload.

    Raises ConfigError, EnvironmentRefused.
    """
    try:
        loaded = await asyncio.to_thread(read)
    except (OSError, RuntimeError) as error:  # the system has no descriptor, or no thread, for it now
        raise EnvironmentRefused(f"the file cannot be read now: {error}; reload again") from error
    new_paths = contents_of_paths(loaded.config)
    old_code = {key: agent.generation.code for key, agent in fleet.agents.items()}
    new_code = {key: digests(map(Path, agent.generation.modules)) for key, agent in fleet.agents.items()}
    old = _with_code(fleet.plan, {key: _print(code, paths) for key, code in old_code.items()})
    new = plan(loaded.config, {key: _print(code, new_paths) for key, code in new_code.items()}, fleet.code_values())
    change = diff(old, new)
    base = digests(map(Path, fleet.around.base.modules))
    if base != fleet.base_code:
        change = _with_new_base(change)
    edited = {key: (*_edited(code, new_code[key]), *_edited(paths, new_paths)) for key, code in old_code.items()}
    edited[""] = _edited(fleet.base_code, base)
    folder = loaded.config.folder
    return Comparison(
        plan=new,
        change=change,
        jobs={key: fleet.jobs.of_agent(key) for key in fleet.agents},
        edited={key: tuple(_shown(file, folder) for file in files) for key, files in edited.items()},
        paths=new_paths,
    )


def contents_of_paths(config: Config) -> Mapping[Path, str]:
    """The digests of the files behind `reload.paths`, which count as code of every agent."""
    paths = frozenset(reload_paths(config))
    return digests(survey(Selection(paths=paths)).files) if paths else {}


def reload_paths(config: Config) -> tuple[Path, ...]:
    """`reload.paths`, seen from the file's folder."""
    return tuple(config.folder / path for path in config.reload.paths)


def _with_code(plan_: Plan, code: dict[str, str]) -> Plan:
    agents = {key: replace(agent, code=code.get(key, "")) for key, agent in plan_.agents.items()}
    return replace(plan_, agents=agents)


def _with_new_base(change: PlanChange) -> PlanChange:
    """The base's own code has changed: every agent is imported anew on top of another base."""
    agents = tuple(
        one if one.added or one.removed else replace(one, generation=(*one.generation, "preload"))
        for one in change.agents
    )
    return replace(change, agents=agents, base=(*change.base, CODE))


def _print(code: Mapping[Path, str] | None, paths: Mapping[Path, str]) -> str:
    """A fingerprint of an agent's code; of one that is not known, none that another could equal."""
    return "" if code is None else fingerprint({**code, **paths})


def _edited(old: Mapping[Path, str] | None, new: Mapping[Path, str]) -> tuple[Path, ...]:
    if old is None:
        return ()
    return tuple(file for file in sorted({*old, *new}) if old.get(file) != new.get(file))


def _few(names: tuple[str, ...]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _shown(file: Path, folder: Path) -> str:
    return str(file.relative_to(folder) if file.is_relative_to(folder) else file)
