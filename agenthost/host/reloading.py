"""Reloads: read the file, compare, prepare, take over, and say what came of it; also what one would do (`plan`).

    idle ──want()──▶ PREPARING ──▶ taking over ──▶ told, idle
                      │    ▲            └─ want(): another one follows
                      └────┘ want(): what is prepared is discarded, and it begins anew with what there is now

Runs on the host's loop, one reload at a time; the last edit is never missed. Nothing here raises: a reload that fails
has changed nothing, and its report says why.
"""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from agenthost.config.findings import ConfigError
from agenthost.config.findings_text import plain, render
from agenthost.differences import Difference
from agenthost.errors import AgentHostError, EntrypointError, ExitCode
from agenthost.host.comparison import Comparison, Read, compare, contents_of_paths
from agenthost.host.fleet import Fleet
from agenthost.host.reconciler import Prepared, UnusableCode, prepare, take_over
from agenthost.logs.events import get_logger
from agenthost.status import ChangeLine, PlanReport, ReloadReport, ReloadStatus

LINGERS_AFTER_SECONDS = 1.0
"""A preparation that takes longer is said to: somebody waits for it, and an edit may be what it needs."""

MOST_BEGINNINGS = 10
"""So often a reload begins anew; the next is left to end. Something that writes all the time must not hold it up."""

R = TypeVar("R", bound=PlanReport)


class _Attempt(Struct, kw_only=True):
    """What one beginning of a reload has found so far; `found` and `prepared` only where it came so far."""

    found: Comparison | None = None
    prepared: Prepared | None = None

    @property
    def changes(self) -> tuple[ChangeLine, ...]:
        return self.found.lines() if self.found is not None else ()


class Reloader:
    """`read` reads and checks the file again (in a thread); `refusal` says why no reload is possible now ("" if it is);
    `lingers` is called when one takes long; `applied` with every report, and what it does belongs to the reload;
    `told` when it has been logged. `applied` tells what could not be done, and why.

    `watched_files` are those that the last reload read (after a failure: those of the one before, too), `failed_files`
    the user's code that could not be used last; `read_at` is when the reload began, in seconds since the epoch.
    """

    def __init__(
        self,
        fleet: Fleet,
        *,
        read: Read,
        refusal: Callable[[], str],
        lingers: Callable[[], None],
        applied: Callable[[ReloadReport], Awaitable[Mapping[str, str]]],
        told: Callable[[ReloadReport], None],
    ) -> None:
        self._fleet = fleet
        self._read = read
        self._refusal = refusal
        self._lingers = lingers
        self._applied = applied
        self._told = told
        self._wanted = asyncio.Event()
        self._asked: list[asyncio.Future[ReloadReport]] = []
        self._preparing: asyncio.Task[None] | None = None
        self._log = get_logger("reload")
        self.last: ReloadStatus | None = None
        self.watched_files = frozenset(fleet.plan.config.watched_files)
        self.failed_files: frozenset[Path] = frozenset()
        self.read_at = time.time()
        self._paths = contents_of_paths(fleet.plan.config)

    @property
    def has_failed(self) -> bool:
        """Whether the last reload did."""
        return self.last is not None and not self.last.ok

    @property
    def is_preparing(self) -> bool:
        return self._preparing is not None

    def want(self, changed: Iterable[Path] = ()) -> None:
        """Reload soon: something watched has changed, or SIGHUP came. One that is only preparing begins anew."""
        self._log.debug("reload wanted", files=[str(path) for path in changed])
        self._wanted.set()
        self.give_up()

    def give_up(self) -> None:
        """Discard what is only being prepared: it is out of date, or no reload is possible any more."""
        if self._preparing is not None:
            self._preparing.cancel()

    async def reload(self) -> ReloadReport:
        """Reload now; the report of the one that began last, if there are edits meanwhile."""
        report: asyncio.Future[ReloadReport] = asyncio.get_running_loop().create_future()
        self._asked.append(report)
        self.want()
        return await report

    async def run(self) -> None:
        """Serve the wishes, one after another; the owner's task."""
        asked: list[asyncio.Future[ReloadReport]] = []
        try:
            while True:
                await self._wanted.wait()
                report = await self._serve(asked)
                for one in asked:
                    if not one.done():  # who asked may have gone
                        one.set_result(report)
                asked.clear()
                # What is not used any more hangs together in circles. By itself Python would look for it only after
                # hundreds of reloads, and what runs would be spread over more and more memory until then.
                gc.collect()
        finally:
            for one in (*asked, *self._asked):
                one.cancel()

    def begin_failed(self, error: UnusableCode) -> None:
        """The code cannot be used yet: as if a reload had failed that would have started everything."""
        report = self._failed(error)
        self.last = _outcome(report)
        self._log.bind(**_details(report)).error(
            "start failed", error=report.error, effect="no agent runs; waiting for an edit"
        )

    async def plan(self) -> PlanReport:
        """What a reload would do now. Code is compared, not imported."""
        began = time.monotonic()
        try:
            found = await compare(self._fleet, self._read, self._paths)
        except AgentHostError as error:
            return replace(_failure(error, PlanReport), seconds=time.monotonic() - began)
        return PlanReport(ok=True, changes=found.lines(), seconds=time.monotonic() - began)

    async def _serve(self, asked: list["asyncio.Future[ReloadReport]"]) -> ReloadReport:
        """One reload, however often it begins; `asked` get those whom its report answers."""
        began = time.monotonic()
        beginning = 0
        report: ReloadReport | None = None
        while report is None:
            beginning += 1
            self._wanted.clear()
            asked += self._asked
            self._asked.clear()
            refusal = self._refusal()
            if refusal:
                return ReloadReport(ok=False, refused=True, error=f"no reload now: the host is {refusal}")
            if beginning > 1:
                self._log.info("reload begins anew", reason="another edit came before anything was taken over")
            report = await self._begin(may_begin_anew=beginning < MOST_BEGINNINGS)
        mended = self.has_failed
        self.last = _outcome(report)
        report = _without(report, await self._applied(report))
        self.last = _outcome(report)
        report = replace(report, seconds=time.monotonic() - began)
        self._tell(report, mended=mended)
        self._told(report)
        return report

    async def _begin(self, *, may_begin_anew: bool) -> ReloadReport | None:
        """None: another edit came in time, and nothing has changed."""
        self.read_at = time.time()
        attempt = _Attempt()
        preparing = asyncio.get_running_loop().create_task(self._prepare(attempt))
        self._preparing = preparing if may_begin_anew else None
        try:
            await self._wait(preparing)
        finally:
            self._preparing = None
        if preparing.cancelled():
            return None
        try:
            preparing.result()
            return await self._take_over(attempt)
        except AgentHostError as error:
            return replace(self._failed(error), changes=attempt.changes)

    def _failed(self, error: AgentHostError) -> ReloadReport:
        """Its report; where the error lies is watched from now on."""
        if isinstance(error, ConfigError):
            self.watched_files |= frozenset(error.watched_files)
        elif isinstance(error, UnusableCode):
            self.failed_files = frozenset(map(Path, error.files))
        return _failure(error, ReloadReport)

    async def _wait(self, preparing: "asyncio.Task[None]") -> None:
        """Until it has ended, one way or another; it does not outlive whoever waits."""
        try:
            done, _ = await asyncio.wait({preparing}, timeout=LINGERS_AFTER_SECONDS)
            if not done:
                self._log.info("reload is preparing", hint="what is running goes on; another edit makes it begin anew")
                self._lingers()
                await asyncio.wait({preparing})
        except asyncio.CancelledError:
            preparing.cancel()
            await asyncio.wait({preparing})
            raise

    async def _prepare(self, attempt: _Attempt) -> None:
        """All that changes nothing yet; may be cancelled at any time. Raises what keeps the new from being used."""
        attempt.found = found = await compare(self._fleet, self._read, self._paths)
        self.watched_files |= frozenset(found.plan.config.watched_files)
        if not found.change.nothing:
            attempt.prepared = await prepare(self._fleet, found.plan, found.change)

    async def _take_over(self, attempt: _Attempt) -> ReloadReport:
        assert attempt.found is not None
        if attempt.prepared is not None:
            take_over(self._fleet, attempt.prepared)
        self._paths = attempt.found.paths
        self.watched_files = frozenset(attempt.found.plan.config.watched_files)
        if attempt.prepared is not None:
            await self._fleet.heard()
        return ReloadReport(ok=True, changes=attempt.changes)

    def _tell(self, report: ReloadReport, *, mended: bool) -> None:
        changed = _changed(report)
        log = self._log.bind(mended=True) if mended else self._log
        if not report.ok:
            self._log.bind(**_details(report)).error(
                "reload failed", error=report.error, effect="everything goes on as it was"
            )
            return
        for line in changed:
            told = {"changed": [_field(one) for one in line.told]} if line.told else {}
            self._log.bind(agent=line.agent, kind=line.kind, **told).info("change applied")
        level = log.info if changed or mended else log.debug
        if report.undone:
            level = log.bind(undone=dict(report.undone)).error
        level("reloaded", changes=len(changed), seconds=round(report.seconds, 3))


def _without(report: ReloadReport, undone: Mapping[str, str]) -> ReloadReport:
    """The report without those changes of the host as a whole that were not made."""
    if not undone:
        return report
    lines = [
        line if line.agent else replace(line, reasons=tuple(one for one in line.reasons if one not in undone))
        for line in report.changes
    ]
    return replace(report, changes=tuple(line for line in lines if line.agent or line.reasons), undone=undone)


def _changed(report: ReloadReport) -> list[ChangeLine]:
    return [line for line in report.changes if line.changes]


def _outcome(report: ReloadReport) -> ReloadStatus:
    """What `status` shows of it."""
    if not report.ok:
        return ReloadStatus(ok=False, at=time.time(), message=report.error)
    count = len(_changed(report))
    message = f"{count} change{'s' * (count > 1)} applied" if count else "nothing changed"
    message += "".join(f"; {key} not changed: {why}" for key, why in report.undone.items())
    return ReloadStatus(ok=True, at=time.time(), message=message)


def _details(report: ReloadReport) -> dict[str, str]:
    """What the author of the edit needs: the findings with their lines, or the traceback of their own code."""
    found = plain(render(report.findings, report.source, file=report.file)) if report.findings else ""
    return {key: text for key, text in (("findings", found), ("traceback", report.traceback_text)) if text}


def _field(one: Difference) -> dict[str, str]:
    """As the log has it: only what there is to tell."""
    told = {"what": one.path, "old": one.old, "new": one.new, "note": one.note}
    return {key: text for key, text in told.items() if text}


def _failure(error: AgentHostError, kind: type[R]) -> R:
    invalid = error.exit_code is ExitCode.CONFIG
    if isinstance(error, ConfigError):
        findings = error.findings
        return kind(
            ok=False, error=str(error), invalid=invalid, findings=findings, file=error.file, source=error.source
        )
    traceback = error.traceback_text if isinstance(error, EntrypointError) else ""
    return kind(ok=False, error=str(error), invalid=invalid, traceback_text=traceback)
