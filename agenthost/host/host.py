"""`Host`: starts a fleet of agents, serves until told to end, reloads, drains. The main flow of the program.

Runs in the host process, on the main thread's event loop. Signals, endings and failures come in as commands; this
is their only consumer.
"""

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
from msgspec.structs import replace

from agenthost import kernel
from agenthost.cgroups import dies_as_one
from agenthost.dispatch.token import Credentials, guest_token
from agenthost.errors import ExitCode
from agenthost.host.commands import Command, Failed, Started
from agenthost.host.comparison import Read, reload_paths
from agenthost.host.connector import HostConnector
from agenthost.host.drain import drain
from agenthost.host.fleet import Fleet
from agenthost.host.host_status import host_status
from agenthost.host.household import recovery_of
from agenthost.host.reconciler import UnusableCode, start
from agenthost.host.registrar import Registrar
from agenthost.host.reloading import Reloader
from agenthost.host.surfaces import Surfaces
from agenthost.host.tasks import Tasks
from agenthost.logs.events import get_logger
from agenthost.logs.setup import LogSystem
from agenthost.plan import Plan
from agenthost.processes.base_exec import BaseProcess
from agenthost.processes.home import ProcessHome
from agenthost.processes.reaper import Reaper
from agenthost.recovery.recovery import Recovery
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
        self.state = HostState.STARTING
        self.surfaces: Surfaces
        self.started_at = time.time()
        self.fleet: Fleet
        self._recovery: Recovery
        self._watcher: Watcher | None = None
        self._first_plan = plan
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
        """Start, serve until told to end, drain. Raises EntrypointError, RegistrationRefused, EnvironmentRefused …"""
        async with self._surroundings() as tasks:
            starting = tasks.create_task(self._start(tasks))
            while True:
                match await self._commands.get():
                    case Started():
                        self.state = HostState.RUNNING
                        self._on_started(self)
                    case Failed(error):
                        raise error
                    case Signalled.HANG_UP:
                        self.reloader.want()
                    case Signalled.TERMINATE:
                        starting.cancel()
                        self._tell_draining()
                        break
            self.state = HostState.DRAINING
            self.reloader.give_up()
            self.fleet.load.report()
            code = await drain(self.fleet.jobs, self._commands)
            await self._recovery.settle()
            return code

    def status(self) -> HostStatus:
        return host_status(
            self.fleet,
            state=self.state,
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
        signals = {HostState.STARTING: 1, HostState.RUNNING: 2 if now else 1}.get(self.state, 1 if now else 0)
        for _ in range(signals):
            self._commands.put_nowait(Signalled.TERMINATE)

    def _tell_draining(self) -> None:
        jobs = len(self.fleet.jobs.all())
        hint = {"hint": "they end by themselves; another signal ends them now"} if jobs else {}
        _log.bind(**hint).info("draining", jobs=jobs)

    def _signalled(self, signalled: Signalled) -> None:
        hung_up = signalled is Signalled.HANG_UP and not self._hang_up_reloads
        self._commands.put_nowait(Signalled.TERMINATE if hung_up else signalled)

    @contextlib.asynccontextmanager
    async def _surroundings(self) -> AsyncIterator[Tasks]:
        """Everything that must be there before the first agent and gone after the last job; cleans up half a start."""
        kernel.become_subreaper()
        kernel.refuse_inspection()  # it has the API secret, and jobs run as its user
        tasks = Tasks(lambda error: self._commands.put_nowait(Failed(error)))
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._kill_what_is_left)
            self._reaper.start()
            stack.callback(self._reaper.stop)
            stack.enter_context(listen(self._signalled))
            home = ProcessHome(reaper=self._reaper, log=get_logger("processes"))
            self.fleet = Fleet(
                self._first_plan, first_base=self._first_base, home=home, tasks=tasks, closed=self._closed
            )
            self.surfaces = Surfaces(self, status=self.status, metrics=self.fleet.metrics)
            stack.push_async_callback(self.fleet.close)
            session = await stack.enter_async_context(aiohttp.ClientSession(connector=HostConnector()))
            self.fleet.registrar = Registrar(session, tasks=tasks, jobs=self.fleet.jobs)
            self.reloader = Reloader(
                self.fleet,
                read=self._read,
                refusal=self._no_reload,
                lingers=self._watch,
                applied=self._reloaded,
                told=self._reload_told,
            )
            self._recovery = recovery_of(self.fleet, session, tasks)
            stack.push_async_callback(tasks.cancel)
            stack.push_async_callback(self.fleet.registrar.close)
            yield tasks
            self.state = HostState.STOPPED

    async def _start(self, tasks: Tasks) -> None:
        """Open HTTP, prove the agents' code, register; then say so. Anything that fails ends the host with it."""
        config = self._first_plan.config
        tasks.at_end(self.surfaces.close)
        await self.surfaces.open_http(config)
        if dies_as_one():
            _log.warning("out of memory would end this host, too", reason=_OOM_GROUP, hint=_OOM_HINT)
        tasks.create_task(self.fleet.jobs.supervise())
        tasks.create_task(self.fleet.load.run())
        up = await self._start_agents(self._first_plan)
        # What is loaded now lives as long as the host; the collector need not look at it again.
        gc.freeze()
        tasks.create_task(self.reloader.run())
        self._recovery.start()
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

    async def _reloaded(self, report: ReloadReport) -> None:
        if report.ok and self._reload_starts:
            self._reload_starts = False
            self._commands.put_nowait(Started())
        if report.ok:
            config = self.fleet.plan.config
            if config.reload.rejoin:
                self.fleet.rejoin()
            await self.surfaces.follow(config)
        self._watch()

    def _reload_told(self, report: ReloadReport) -> None:
        """How it went is still said as the log was configured before: another level must not swallow it."""
        if report.ok:
            self._logs.apply(self.fleet.plan.config.log)

    def _no_reload(self) -> str:
        return "" if self.state is HostState.RUNNING or self._reload_starts else self.state.value

    def _closed(self) -> str:
        """Why no offer is accepted now; "" when they are."""
        return "draining" if self.state in (HostState.DRAINING, HostState.STOPPED) else ""

    def _kill_what_is_left(self) -> None:
        """Templates leave by themselves when their sockets close; a user's daemon would not."""
        kernel.kill_marked(self._first_base.identity.host_id, spare=self._spare_pids)
