"""What a reload would make of the host: the file read again, the code looked at, both compared with what runs.

Runs on the host's loop; the file is read in a thread. Nothing here changes the host. Code is compared by the content of
its files, never imported.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from agenthost.changes import CODE, PlanChange, diff
from agenthost.config.examination import Loaded
from agenthost.config.model import Config
from agenthost.errors import EnvironmentRefused
from agenthost.host.fleet import Fleet
from agenthost.plan import Plan, plan
from agenthost.status import ChangeLine
from agenthost.watching.fingerprints import fingerprint
from agenthost.watching.places import Selection, survey

Read = Callable[[], Loaded]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The new plan and what it changes. `jobs` are the running ones of each agent, `paths` is a fingerprint."""

    plan: Plan
    change: PlanChange
    jobs: Mapping[str, int]
    paths: str

    def lines(self) -> tuple[ChangeLine, ...]:
        """The same as it is told: the base and the host first, then every agent, kept ones included."""
        lines: list[ChangeLine] = []
        if self.change.base:
            lines.append(ChangeLine(agent="", kind="base", reasons=self.change.base))
        if self.change.host:
            lines.append(ChangeLine(agent="", kind="live", reasons=self.change.host))
        for one in self.change.agents:
            heir = (f"goes on as `{one.successor}`",) if one.successor else ()
            reasons = {
                "new generation": one.generation,
                "new registration": one.registration,
                "live": one.live,
                "removed": heir,
            }
            running = self.jobs.get(one.agent, 0)
            lines += [
                ChangeLine(agent=one.agent, kind=kind, reasons=reasons.get(kind, ()), jobs=running)
                for kind in one.kinds
            ]
        return tuple(lines)


async def compare(fleet: Fleet, read: Read, paths: str) -> Comparison:
    """Read everything again, and see what is different; `paths` is the fingerprint of `reload.paths` in force.

    Raises ConfigError, EnvironmentRefused.
    """
    try:
        loaded = await asyncio.to_thread(read)
    except (OSError, RuntimeError) as error:  # the system has no descriptor, or no thread, for it now
        raise EnvironmentRefused(f"the file cannot be read now: {error}; reload again") from error
    new_paths = fingerprint_of_paths(loaded.config)
    running = {key: agent.generation.code_fingerprint + paths for key, agent in fleet.agents.items()}
    now = {key: fingerprint(map(Path, agent.generation.modules)) + new_paths for key, agent in fleet.agents.items()}
    old = _with_code(fleet.plan, running)
    new = plan(loaded.config, now, fleet.code_values())
    change = diff(old, new)
    if fingerprint(map(Path, fleet.around.base.modules)) != fleet.base_fingerprint:
        change = _with_new_base(change)
    jobs = {key: fleet.jobs.of_agent(key) for key in fleet.agents}
    return Comparison(plan=new, change=change, jobs=jobs, paths=new_paths)


def fingerprint_of_paths(config: Config) -> str:
    """Of the files behind `reload.paths`, which count as code of every agent."""
    paths = frozenset(reload_paths(config))
    return fingerprint(survey(Selection(paths=paths)).files) if paths else ""


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
