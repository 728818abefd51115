"""Reloads: read the file, compare, reconcile, and say what came of it; also what one would do (`plan`).

Runs on the host's loop. One reload at a time; a request that comes while one runs gets another after it, so the last
edit is never missed. Nothing here raises: a reload that fails has changed nothing, and its report says why.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from agenthost.changes import CODE, PlanChange, diff
from agenthost.config.examination import Loaded
from agenthost.config.findings import ConfigError
from agenthost.config.findings_text import plain, render
from agenthost.config.model import Config
from agenthost.errors import AgentHostError, EntrypointError, EnvironmentRefused, ExitCode
from agenthost.host.fleet import Fleet
from agenthost.host.reconciler import UnusableCode, reconcile
from agenthost.logs.events import get_logger
from agenthost.plan import Plan, plan
from agenthost.status import ChangeLine, PlanReport, ReloadReport, ReloadStatus
from agenthost.watching.fingerprints import fingerprint
from agenthost.watching.places import Selection, survey

Read = Callable[[], Loaded]
R = TypeVar("R", bound=PlanReport)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What a reload would make of the host. `jobs` are the running ones of each agent, `paths` a fingerprint."""

    plan: Plan
    change: PlanChange
    jobs: Mapping[str, int]
    paths: str


class Reloader:
    """`read` reads and checks the file again (in a thread); `refusal` says why no reload is possible now ("" if it is);
    `applied` is called with every report, and what it does belongs to the reload; `told` when it has been logged.

    `watched_files` are those that the last reload read (after a failure: those of the one before, too), `failed_files`
    the user's code that could not be used last; `read_at` is when the reload began, in seconds since the epoch.
    """

    def __init__(
        self,
        fleet: Fleet,
        *,
        read: Read,
        refusal: Callable[[], str],
        applied: Callable[[ReloadReport], Awaitable[None]],
        told: Callable[[ReloadReport], None],
    ) -> None:
        self._fleet = fleet
        self._read = read
        self._refusal = refusal
        self._applied = applied
        self._told = told
        self._busy = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._log = get_logger("reload")
        self.last: ReloadStatus | None = None
        self.watched_files = frozenset(fleet.plan.config.watched_files)
        self.failed_files: frozenset[Path] = frozenset()
        self.read_at = time.time()
        self._paths = _fingerprint_of_paths(fleet.plan.config)

    @property
    def has_failed(self) -> bool:
        """Whether the last reload did."""
        return self.last is not None and not self.last.ok

    def want(self, changed: Iterable[Path] = ()) -> None:
        """Reload soon: something that is watched has changed, or SIGHUP came."""
        self._log.debug("reload wanted", files=[str(path) for path in changed])
        self._wanted.set()

    async def run(self) -> None:
        """Serve the wishes of `want`, one after another; the owner's task."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            await self.reload()

    async def reload(self) -> ReloadReport:
        """Reload now, after the one that runs, and report."""
        async with self._busy:
            began = time.monotonic()
            refusal = self._refusal()
            if refusal:
                return ReloadReport(ok=False, refused=True, error=f"no reload now: the host is {refusal}")
            self.read_at = time.time()
            mended = self.has_failed
            report = await self._reload()
            self.last = _outcome(report)
            await self._applied(report)
            report = replace(report, seconds=time.monotonic() - began)
            self._tell(report, mended=mended)
            self._told(report)
            return report

    async def plan(self) -> PlanReport:
        """What a reload would do now. Code is compared, not imported."""
        began = time.monotonic()
        try:
            found = await self._compare()
        except AgentHostError as error:
            return replace(_failure(error, PlanReport), seconds=time.monotonic() - began)
        return PlanReport(ok=True, changes=_lines(found.change, found.jobs), seconds=time.monotonic() - began)

    async def _reload(self) -> ReloadReport:
        changes: tuple[ChangeLine, ...] = ()
        try:
            found = await self._compare()
            changes = _lines(found.change, found.jobs)
            if not found.change.nothing:
                await reconcile(self._fleet, found.plan, found.change)
            self._paths = found.paths
            self.watched_files = frozenset(found.plan.config.watched_files)
        except ConfigError as error:
            self.watched_files |= frozenset(error.watched_files)
            return replace(_failure(error, ReloadReport), changes=changes)
        except UnusableCode as error:
            self.failed_files = frozenset(map(Path, error.files))
            return replace(_failure(error, ReloadReport), changes=changes)
        except AgentHostError as error:
            return replace(_failure(error, ReloadReport), changes=changes)
        return ReloadReport(ok=True, changes=changes)

    async def _compare(self) -> "Comparison":
        """Read everything again, and see what is different. Raises ConfigError, EnvironmentRefused."""
        try:
            loaded = await asyncio.to_thread(self._read)
        except (OSError, RuntimeError) as error:  # the system has no descriptor, or no thread, for it now
            raise EnvironmentRefused(f"the file cannot be read now: {error}; reload again") from error
        fleet = self._fleet
        paths = _fingerprint_of_paths(loaded.config)
        running = {key: agent.generation.code_fingerprint + self._paths for key, agent in fleet.agents.items()}
        now = {key: fingerprint(map(Path, agent.generation.modules)) + paths for key, agent in fleet.agents.items()}
        old = _with_code(fleet.plan, running)
        new = plan(loaded.config, now, fleet.code_values())
        change = diff(old, new)
        if fingerprint(map(Path, fleet.around.base.modules)) != fleet.base_fingerprint:
            change = _with_new_base(change)
        jobs = {key: fleet.jobs.of_agent(key) for key in fleet.agents}
        return Comparison(plan=new, change=change, jobs=jobs, paths=paths)

    def _tell(self, report: ReloadReport, *, mended: bool) -> None:
        changed = _changed(report)
        log = self._log.bind(mended=True) if mended else self._log
        if not report.ok:
            self._log.bind(**_details(report)).error(
                "reload failed", error=report.error, effect="everything goes on as it was"
            )
            return
        for line in changed:
            self._log.info("change applied", agent=line.agent, kind=line.kind, reasons=list(line.reasons))
        level = log.info if changed or mended else log.debug
        level("reloaded", changes=len(changed), seconds=round(report.seconds, 3))


def _changed(report: ReloadReport) -> list[ChangeLine]:
    return [line for line in report.changes if line.changes]


def _outcome(report: ReloadReport) -> ReloadStatus:
    """What `status` shows of it."""
    if not report.ok:
        return ReloadStatus(ok=False, at=time.time(), message=report.error)
    count = len(_changed(report))
    message = f"{count} change{'s' * (count > 1)} applied" if count else "nothing changed"
    return ReloadStatus(ok=True, at=time.time(), message=message)


def _details(report: ReloadReport) -> dict[str, str]:
    """What the author of the edit needs: the findings with their lines, or the traceback of their own code."""
    found = plain(render(report.findings, report.source, file=report.file)) if report.findings else ""
    return {key: text for key, text in (("findings", found), ("traceback", report.traceback_text)) if text}


def _fingerprint_of_paths(config: Config) -> str:
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


def _lines(change: PlanChange, jobs: Mapping[str, int]) -> tuple[ChangeLine, ...]:
    lines: list[ChangeLine] = []
    if change.base:
        lines.append(ChangeLine(agent="", kind="base", reasons=change.base))
    if change.host:
        lines.append(ChangeLine(agent="", kind="live", reasons=change.host))
    for one in change.agents:
        heir = (f"goes on as `{one.successor}`",) if one.successor else ()
        reasons = {
            "new generation": one.generation,
            "new registration": one.registration,
            "live": one.live,
            "removed": heir,
        }
        running = jobs.get(one.agent, 0)
        lines += [
            ChangeLine(agent=one.agent, kind=kind, reasons=reasons.get(kind, ()), jobs=running) for kind in one.kinds
        ]
    return tuple(lines)


def _failure(error: AgentHostError, kind: type[R]) -> R:
    invalid = error.exit_code is ExitCode.CONFIG
    if isinstance(error, ConfigError):
        findings = error.findings
        return kind(
            ok=False, error=str(error), invalid=invalid, findings=findings, file=error.file, source=error.source
        )
    traceback = error.traceback_text if isinstance(error, EntrypointError) else ""
    return kind(ok=False, error=str(error), invalid=invalid, traceback_text=traceback)
