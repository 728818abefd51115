"""`Host`: starts a fleet of agents, serves until told to end, reloads, drains. The main flow of the program.

Runs in the host process, on the main thread's event loop. Signals, endings and failures come in as commands; this
is their only consumer.
"""

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
from msgspec.structs import replace

from agenthost import kernel
from agenthost.cgroups import dies_as_one
from agenthost.dispatch.token import Credentials, guest_token
from agenthost.errors import ExitCode
from agenthost.host.commands import Command, Failed, Started
from agenthost.host.comparison import Read, reload_paths
from agenthost.host.connector import HostConnector
from agenthost.host.current import Current
from agenthost.host.drain import Drain
from agenthost.host.fleet import Fleet
from agenthost.host.host_status import host_status
from agenthost.host.hosted_agent import HostedAgent
from agenthost.host.jobs.admission import Admission
from agenthost.host.jobs.offers import OfferHandler
from agenthost.host.jobs.registry import JobRegistry
from agenthost.host.load_control import LoadControl
from agenthost.host.reconciler import UnusableCode, start
from agenthost.host.recovery_view import RecoveryView
from agenthost.host.registrar import Registrar
from agenthost.host.reloading import Reloader
from agenthost.host.surfaces import Surfaces
from agenthost.host.tasks import Tasks
from agenthost.internal_errors import InternalErrors
from agenthost.logs.events import get_logger
from agenthost.logs.setup import LogSystem
from agenthost.metrics import InternalPart, Metrics
from agenthost.plan import Plan
from agenthost.processes.base_exec import BaseProcess
from agenthost.processes.home import ProcessHome
from agenthost.processes.reaper import Reaper
from agenthost.signals import Signalled, listen
from agenthost.status import Guest, HostState, HostStatus, PlanReport, ReloadReport
from agenthost.watching.watcher import Watcher

_log = get_logger("host")

_OOM_GROUP = "memory.oom.group is 1: the kernel kills the whole container instead of one job"
_OOM_HINT = (
    "set limits.memory and load.memory; on Kubernetes 1.32 and later, also singleProcessOOMKill: true of the kubelet"
)


class Host:
    """Runs a plan, and what `read` makes of it later, until it is told to end.

    `on_started` is called once, with the host, when everything is up. `hang_up_reloads`: SIGHUP reloads (else it ends
    the host, like a closed terminal). `waits_for_edit`: code that cannot be used at the start does not end the host
    where it is watched; the first reload that succeeds is then the start.
    """

    def __init__(
        self,
        plan: Plan,
        *,
        base: BaseProcess,
        read: Read,
        logs: LogSystem,
        on_started: Callable[["Host"], None],
        hang_up_reloads: bool = True,
        waits_for_edit: bool = False,
        spare_pids: tuple[int, ...] = (),
    ) -> None:
        self.surfaces: Surfaces
        self.started_at = time.time()
        self.fleet: Fleet
        self._recovery: RecoveryView
        self._watcher: Watcher | None = None
        self._drain: Drain | None = None
        self._current = Current(plan)
        self._first_plan = plan
        self._metrics = Metrics()
        self.errors = InternalErrors(self._metrics, get_logger("host"))
        self._first_base = base
        self._read = read
        self._hang_up_reloads = hang_up_reloads
        self._waits_for_edit = waits_for_edit
        self._reload_starts = False
        self._logs = logs
        self._on_started = on_started
        self._commands: asyncio.Queue[Command] = asyncio.Queue()
        self._reaper = Reaper()
        for pid in spare_pids:
            self._reaper.spare(pid)
        self._spare_pids = spare_pids

    async def run(self) -> ExitCode:
        """Start, serve until told to end, drain. Raises EntrypointError, RegistrationRefused, EnvironmentRefused …

        A host that fails does not end its calls with it: it drains, too. One that fails after its start says why in the
        log, and ends with FAILURE.
        """
        async with self._surroundings() as tasks:
            starting = tasks.essential(self._start(tasks))
            failure: Exception | None = None
            while True:
                match await self._commands.get():
                    case Started():
                        self._current.state = HostState.RUNNING
                        self._on_started(self)
                    case Failed(error):
                        failure = error
                        break
                    case Signalled.HANG_UP:
                        self.reloader.want()
                    case Signalled.TERMINATE:
                        break
            starting.cancel()
            return await self._end(failure)

    async def _end(self, failure: Exception | None) -> ExitCode:
        """Take nothing new, and wait for what is there."""
        was_running = self._current.state is HostState.RUNNING
        self._drain = Drain(self.fleet.jobs, self._commands, self.errors, signals=0 if failure is not None else 1)
        self._current.state = HostState.DRAINING
        self.reloader.give_up()
        with self.errors.contained(InternalPart.TASK):  # it may be what has failed the host
            self.fleet.load.report()
        jobs = len(self.fleet.jobs.accepted())
        if failure is not None and was_running:
            _log.error("host failed", exc_info=failure, effect="it drains, and ends when its last job has")
        if failure is None or jobs:
            another = "another signal ends" if failure is None else "two signals end"
            hint = {"hint": f"they end by themselves; {another} them now"} if jobs else {}
            _log.bind(**hint).info("draining", jobs=jobs)
        await self._drain.run()
        await self._recovery.recovery.settle()
        code = self._drain.end()
        if failure is not None and not was_running:
            raise failure
        return ExitCode.FAILURE if failure is not None else code

    def status(self) -> HostStatus:
        return host_status(
            self.fleet,
            started_at=self.started_at,
            last_reload=self.reloader.last,
            log_lines_dropped=self._logs.queue.dropped,
        )

    async def plan(self) -> PlanReport:
        return await self.reloader.plan()

    async def reload(self) -> ReloadReport:
        return await self.reloader.reload()

    def invite(self, room: str) -> Guest:
        livekit = self.fleet.plan.config.livekit
        identity = self.fleet.jobs.invite(room)
        credentials = Credentials(api_key=livekit.api_key, api_secret=livekit.api_secret)
        return Guest(url=livekit.url, token=guest_token(credentials, room, identity), identity=identity)

    def stop(self, *, now: bool) -> None:
        """As the first signal; `now`: as the second."""
        heard = self._drain.signals if self._drain is not None else 0
        wanted = 2 if now and self._current.state is not HostState.STARTING else 1
        for _ in range(max(wanted - heard, 1 if now else 0)):
            self._commands.put_nowait(Signalled.TERMINATE)

    @contextlib.asynccontextmanager
    async def _surroundings(self) -> AsyncIterator[Tasks]:
        """Everything that must be there before the first agent and gone after the last job; cleans up half a start."""
        asyncio.get_running_loop().set_exception_handler(self._loop_failed)
        kernel.become_subreaper()
        kernel.refuse_inspection()  # it has the API secret, and jobs run as its user
        tasks = Tasks(self.errors, failed=lambda error: self._commands.put_nowait(Failed(error)))
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._kill_what_is_left)
            self._reaper.start()
            stack.callback(self._reaper.stop)
            stack.enter_context(listen(self._commands.put_nowait, hang_up_reloads=self._hang_up_reloads))
            session = await stack.enter_async_context(aiohttp.ClientSession(connector=HostConnector()))
            self._build(session, tasks)
            self.surfaces = Surfaces(self, status=self.status, metrics=self._metrics)
            stack.push_async_callback(self.fleet.close)
            self.reloader = Reloader(
                self.fleet,
                read=self._read,
                refusal=self._no_reload,
                lingers=self._watch,
                applied=self._reloaded,
                told=self._reload_told,
            )
            stack.push_async_callback(tasks.cancel)
            stack.push_async_callback(self.fleet.registrar.close)
            yield tasks
            self._current.state = HostState.STOPPED

    def _build(self, session: aiohttp.ClientSession, tasks: Tasks) -> None:
        """The parts of the host, each with those that it needs."""
        current, metrics, errors = self._current, self._metrics, self.errors
        home = ProcessHome(reaper=self._reaper, log=get_logger("processes"))
        jobs = JobRegistry(metrics=metrics, errors=errors, oom=home.oom, log=get_logger("jobs"))
        load = LoadControl(current, jobs, log=get_logger("load"))
        admission = Admission(current, jobs, load)
        self._recovery = lost = RecoveryView(
            current, jobs, admission, session=session, tasks=tasks, metrics=metrics, errors=errors
        )

        def offers_to(agent: HostedAgent) -> OfferHandler:
            return OfferHandler(
                agent,
                current=current,
                jobs=jobs,
                admission=admission,
                load=load,
                lost=lost,
                metrics=metrics,
                errors=errors,
            )

        self.fleet = Fleet(
            current,
            jobs=jobs,
            load=load,
            registrar=Registrar(session, tasks=tasks, jobs=jobs, errors=errors),
            offers_to=offers_to,
            first_base=self._first_base,
            home=home,
            tasks=tasks,
        )

    async def _start(self, tasks: Tasks) -> None:
        """Open HTTP, prove the agents' code, register; then say so. Anything that fails ends the host with it."""
        config = self._first_plan.config
        tasks.at_end(self.surfaces.close)
        await self.surfaces.open_http(config)
        if dies_as_one():
            _log.warning("out of memory would end this host, too", reason=_OOM_GROUP, hint=_OOM_HINT)
        tasks.keep(self.fleet.jobs.supervise)
        tasks.keep(self.fleet.load.run)
        up = await self._start_agents(self._first_plan)
        # What is loaded now lives as long as the host; the collector need not look at it again.
        gc.freeze()
        tasks.keep(self.reloader.run)
        self._recovery.recovery.start()
        await self.surfaces.open_control(config)
        tasks.at_end(self._stop_watching)
        self._watch()
        if up:
            self._commands.put_nowait(Started())

    async def _start_agents(self, plan: Plan) -> bool:
        """False when their code cannot be used yet, and an edit is waited for. Raises UnusableCode if it is not."""
        try:
            await start(self.fleet, plan)
        except UnusableCode as error:
            watched = plan.config.reload.watch or plan.config.reload.paths
            if not (self._waits_for_edit and watched):
                raise
            self.fleet.adopt(replace(plan, agents={}), {}, self.fleet.around)
            self.reloader.begin_failed(error)
            self._reload_starts = True
            return False
        return True

    def _watch(self) -> None:
        """Watch what the configuration in force wants watched: its own files, the code, further paths."""
        config = self.fleet.plan.config
        wanted, failed = config.reload, self.reloader.has_failed or self.reloader.is_preparing
        files: set[Path] = set()
        if "config" in wanted.watch:
            files |= self.reloader.watched_files
        if "code" in wanted.watch:
            files |= self.fleet.code_files | (self.reloader.failed_files if failed else frozenset())
        files |= set(reload_paths(config))
        if self._watcher is None and files:
            self._watcher = Watcher(self.reloader.want, debounce=wanted.debounce)
            self._watcher.start()
        if self._watcher is not None:
            self._watcher.debounce = wanted.debounce
            # What failed, or hangs, may be mended by a module that is yet to be written or was never imported.
            folders = {config.folder} if failed and "code" in wanted.watch else set()
            self._watcher.watch(files, code_folders=folders, since=self.reloader.read_at)

    async def _stop_watching(self) -> None:
        if self._watcher is not None:
            self._watcher.stop()

    async def _reloaded(self, report: ReloadReport) -> Mapping[str, str]:
        """What the reloaded file says and could not be done."""
        undone: Mapping[str, str] = {}
        if report.ok and self._reload_starts:
            self._reload_starts = False
            self._commands.put_nowait(Started())
        if report.ok:
            config = self.fleet.plan.config
            if config.reload.rejoin:
                self.fleet.rejoin()
            undone = await self.surfaces.follow(config)
        self._watch()
        return undone

    def _reload_told(self, report: ReloadReport) -> None:
        """How it went is still said as the log was configured before: another level must not swallow it."""
        if report.ok:
            self._logs.apply(self.fleet.plan.config.log)

    def _no_reload(self) -> str:
        state = self._current.state
        return "" if state is HostState.RUNNING or self._reload_starts else state.value

    def _loop_failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What nobody else caught: an error in a callback, or in a task that nobody waits for."""
        error = context.get("exception") or RuntimeError(context["message"])
        self.errors.note(InternalPart.EVENT_LOOP, error, reason=context["message"])

    def _kill_what_is_left(self) -> None:
        """Templates leave by themselves when their sockets close; a user's daemon would not."""
        kernel.kill_marked(self._first_base.identity.host_id, spare=self._spare_pids)
