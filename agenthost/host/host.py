"""`Host`: owns everything of a running host; its main flow is start, serve, drain.

Runs in the host process, on the main thread's event loop. Signals, endings and failures come in as commands; this
is their only consumer. It is the only module that knows all parts.
"""

import asyncio
import contextlib
import gc
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping

import aiohttp

from agenthost import kernel
from agenthost.config.model import LiveKitConfig
from agenthost.dispatch.connection import Connection, ServerAddress, connect
from agenthost.dispatch.registration import Registration
from agenthost.dispatch.token import Credentials
from agenthost.endpoints.server import Endpoints
from agenthost.errors import EntrypointError, ExitCode, ProcessFailed
from agenthost.host.commands import Command, Failed, Started
from agenthost.host.desk import OfferDesk
from agenthost.host.drain import drain
from agenthost.host.host_status import host_status
from agenthost.host.hosted_agent import HostedAgent, Surroundings
from agenthost.host.load_control import LoadControl
from agenthost.host.running_jobs import RunningJobs
from agenthost.host.slots import Slots
from agenthost.ipc.messages import BaseSpec
from agenthost.logs.events import get_logger
from agenthost.logs.setup import LogSystem
from agenthost.metrics import Metrics
from agenthost.plan import AgentPlan, Plan
from agenthost.processes.base import Base
from agenthost.processes.base_exec import BaseProcess, HostIdentity, base_environment
from agenthost.processes.child_process import InitFailure
from agenthost.processes.home import ProcessHome
from agenthost.processes.reaper import Reaper
from agenthost.signals import Signalled, listen
from agenthost.status import HostState, HostStatus
from agenthost.version import __version__

_log = get_logger("host")


class Host:
    """Runs one plan until it is told to end. `on_started` is called once, with the host, when everything is up."""

    def __init__(
        self,
        plan: Plan,
        *,
        base: BaseProcess,
        logs: LogSystem,
        on_started: Callable[["Host"], None],
        spare_pids: tuple[int, ...] = (),
    ) -> None:
        self.plan = plan
        self.state = HostState.STARTING
        self.agents: dict[str, HostedAgent] = {}
        self.http: tuple[str, int] | None = None
        self.started_at = time.time()
        self.slots = Slots()
        self.metrics = Metrics()
        self._identity = base.identity
        self._base_process = base
        self._logs = logs
        self._on_started = on_started
        self._commands: asyncio.Queue[Command] = asyncio.Queue()
        self._reaper = Reaper()
        for pid in spare_pids:
            self._reaper.spare(pid)
        self._spare_pids = spare_pids
        self._home = ProcessHome(reaper=self._reaper, log=get_logger("processes"))
        self.jobs = RunningJobs(plan.config.livekit, metrics=self.metrics, log=get_logger("jobs"))
        self.load: LoadControl

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
                    case Signalled() as signalled:
                        starting.cancel()
                        _log.info("draining", signal=signalled.value, jobs=len(self.jobs.all()))
                        break
            self.state = HostState.DRAINING
            self.load.report()
            return await drain(self.jobs, self._commands)

    def status(self) -> HostStatus:
        return host_status(self, version=__version__)

    @property
    def log_lines_dropped(self) -> int:
        return self._logs.queue.dropped

    @contextlib.asynccontextmanager
    async def _surroundings(self) -> AsyncIterator["_Tasks"]:
        """Everything that must be there before the first agent and gone after the last job; cleans up half a start."""
        kernel.become_subreaper()
        tasks = _Tasks(lambda error: self._commands.put_nowait(Failed(error)))
        config = self.plan.config
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._kill_what_is_left)
            self._reaper.start()
            stack.callback(self._reaper.stop)
            stack.enter_context(listen(self._commands.put_nowait))
            self._base = self._start_base()
            stack.push_async_callback(self._close_processes)
            around = Surroundings(
                base=self._base,
                home=self._home,
                environment=job_environment(self._identity, config.environment, config.livekit),
                folder=os.fspath(config.folder),
                identity=self._identity,
                log=config.log,
            )
            self.agents = {key: HostedAgent(agent, around) for key, agent in self.plan.agents.items()}
            self.load = LoadControl(
                self.plan.load,
                agents=lambda: self.agents,
                slots=self.slots,
                closed=self._closed,
                log=get_logger("load"),
            )
            self._session = await stack.enter_async_context(aiohttp.ClientSession())
            stack.push_async_callback(tasks.cancel)
            stack.push_async_callback(self._close_registrations)
            yield tasks
            self.state = HostState.STOPPED

    def _start_base(self) -> Base:
        config = self.plan.config
        spec = BaseSpec(path=(os.fspath(config.folder),), preload=config.preload)
        return Base(self._base_process, spec, environment=config.environment, home=self._home)

    async def _start(self, tasks: "_Tasks") -> None:
        """Prove the agents' code, open HTTP, register; then say so. Anything that fails ends the host with it."""
        config = self.plan.config
        if config.http.host is not None:
            endpoints = Endpoints(config.http, status=self.status, metrics=self.metrics)
            self.http = await endpoints.start()
            tasks.at_end(endpoints.stop)
        await self._prove_agents()
        tasks.create_task(self.jobs.supervise())
        for agent in self.agents.values():
            tasks.create_task(agent.pool.run())
        tasks.create_task(self.load.run())
        registered = [self._register(agent, tasks) for agent in self.agents.values() if agent.plan.registration]
        await asyncio.gather(*registered)
        # What is loaded now lives as long as the host; the collector need not look at it again.
        gc.freeze()
        self._commands.put_nowait(Started())

    async def _prove_agents(self) -> None:
        results = await asyncio.gather(*(agent.prove() for agent in self.agents.values()), return_exceptions=True)
        for agent, result in zip(self.agents.values(), results, strict=True):
            if isinstance(result, InitFailure):
                raise _entrypoint_error(agent.plan, result)
            if isinstance(result, ProcessFailed):
                raise EntrypointError(f"agent `{agent.id}` cannot run: {result}")
            if isinstance(result, BaseException):
                raise result

    async def _register(self, agent: HostedAgent, tasks: "_Tasks") -> None:
        """Open the registration of an agent; returns after its first try, whatever came of it."""
        assert agent.plan.registration is not None
        tried = asyncio.Event()
        registration = Registration(
            agent.plan.registration,
            connect=self._connect,
            desk=self._desk(agent),
            log=get_logger("dispatch").bind(agent=agent.id),
            on_change=tried.set,
        )
        agent.registration = registration
        registration.report_load(self.load.load_of(agent))
        tasks.create_task(registration.run())
        await tried.wait()

    def _desk(self, agent: HostedAgent) -> OfferDesk:
        return OfferDesk(
            agent,
            agents=lambda: self.agents,
            slots=self.slots,
            closed=self._closed,
            load=self.load,
            jobs=self.jobs,
            timezone=self.plan.config.timezone,
            metrics=self.metrics,
            log=get_logger("dispatch"),
        )

    async def _connect(self) -> Connection:
        livekit = self.plan.config.livekit
        credentials = Credentials(api_key=livekit.api_key, api_secret=livekit.api_secret)
        return await connect(
            self._session, ServerAddress(url=livekit.url, credentials=credentials, proxy=livekit.proxy)
        )

    def _closed(self) -> str:
        """Why no offer is accepted now; "" when they are."""
        return "draining" if self.state in (HostState.DRAINING, HostState.STOPPED) else ""

    async def _close_registrations(self) -> None:
        for agent in self.agents.values():
            if agent.registration is not None:
                await agent.registration.close()

    async def _close_processes(self) -> None:
        await asyncio.gather(*(agent.close() for agent in self.agents.values()))
        await self._base.close()

    def _kill_what_is_left(self) -> None:
        """Templates leave by themselves when their sockets close; a user's daemon would not."""
        kernel.kill_marked(self._identity.host_id, spare=self._spare_pids)


_CANCEL_AGAIN_SECONDS = 0.5


class _Tasks:
    """The tasks of a host: one that fails ends the host with its error, and all end with it."""

    def __init__(self, failed: Callable[[Exception], None]) -> None:
        self._failed = failed
        self._tasks: set[asyncio.Task[None]] = set()
        self._at_end: list[Callable[[], Awaitable[None]]] = []

    def create_task(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def at_end(self, stop: Callable[[], Awaitable[None]]) -> None:
        """Have something stopped when the tasks are."""
        self._at_end.append(stop)

    async def cancel(self) -> None:
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            # Again and again: a task group that fails while it is cancelled forgets that it was (CPython 3.11).
            await asyncio.wait(self._tasks, timeout=_CANCEL_AGAIN_SECONDS)
        for stop in self._at_end:
            await stop()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            self._failed(error)


def job_environment(identity: HostIdentity, environment: Mapping[str, str], livekit: LiveKitConfig) -> dict[str, str]:
    """What user code runs with: never the key or the secret, unless the file says so."""
    result = base_environment(identity, environment) | {"LIVEKIT_URL": livekit.url}
    if livekit.secret_in_jobs:
        result |= {"LIVEKIT_API_KEY": livekit.api_key, "LIVEKIT_API_SECRET": livekit.api_secret}
    return result


def _entrypoint_error(agent: AgentPlan, failure: InitFailure) -> EntrypointError:
    report = failure.report
    where = f" at {report.file}:{report.line}" if report.file else ""
    return EntrypointError(
        f"agent `{agent.id}`: {report.phase} failed{where}: {report.message}", traceback_text=report.traceback
    )
