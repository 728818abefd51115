"""One agent's code as of one (re)load, running: its template, its pool, its hook process.

    STARTING ──prove()──▶ ACTIVE ──retire()──▶ RETIRED: no idle processes, no template; its jobs end by themselves

Runs on the host's loop. A template is a disposable thing: when it or the base dies another is made, and the jobs that
run notice nothing.
"""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from agenthost import kernel
from agenthost.code_values import CodeValues
from agenthost.config.model import AgentConfig, LiveKitConfig, LogConfig, StartMethod
from agenthost.ipc.messages import LogLevels, Message, TemplateSpec
from agenthost.plan import AgentPlan
from agenthost.processes.base import Base
from agenthost.processes.base_exec import HostIdentity
from agenthost.processes.child_process import ChildProcess
from agenthost.processes.home import ProcessHome
from agenthost.processes.hook_process import Hook
from agenthost.processes.job_process import JobProcess
from agenthost.processes.pool import Pool
from agenthost.processes.starters import ForkStarter, SpawnStarter, Starter
from agenthost.processes.template_keeper import TemplateKeeper
from agenthost.processes.templates import MustNotFork, Template
from agenthost.taking_over import taken_over
from agenthost.watching.fingerprints import changed_since, digests

ONLY_ROUTES = ""
"""The entrypoint of a template whose agent has none: its forks can only be hook processes."""


class Surroundings(Struct, frozen=True, kw_only=True):
    """What all agents of a host share."""

    base: Base
    home: ProcessHome
    environment: Mapping[str, str]
    folder: str
    identity: HostIdentity
    log: LogConfig
    livekit: LiveKitConfig


class Generation:
    """`prove` shows that the code works; afterwards `reserve` gives processes for its jobs.

    `number` counts the generations of one agent from 1. `code` has the digests of the user's files that it imported,
    None while it is not proven, or if one of them may be another now. An agent without entrypoint only routes: it needs
    a template for its hook process alone, and no idle processes.
    """

    def __init__(self, plan: AgentPlan, number: int, around: Surroundings) -> None:
        self.plan = plan
        self.number = number
        self.born = time.time()
        self._around = around
        self._log = around.home.log.bind(agent=plan.id, generation=number)
        self.values: CodeValues | None = None
        self._spec = template_spec(plan.written, around, number)
        self.code: Mapping[Path, str] | None = None
        self._modules: tuple[str, ...] = ()
        self._template = TemplateKeeper(plan.id, make=self._make_template, log=self._log)
        self._spawns = plan.config.start_method is StartMethod.SPAWN or not kernel.LINUX
        self.pool = Pool(
            plan.id,
            starter=self,
            home=around.home,
            num_idle=plan.config.num_idle_processes if self.runs_jobs else 0,
            init_seconds=plan.config.limits.init,
        )
        self.hook: Hook | None = None
        self._make_hook()

    @property
    def runs_jobs(self) -> bool:
        """Whether jobs can run this agent's own code."""
        return self.config.entrypoint is not None

    @property
    def config(self) -> AgentConfig:
        return self.plan.config

    async def prove(self) -> None:
        """Import the code, and run prewarm once where there is one. Raises ProcessFailed (InitFailure: the user's)."""
        began = time.time_ns()
        await self._prove()
        files = [Path(module) for module in self.modules]
        # A file that was written while it was imported may be either version: it counts as one to import again.
        self.code = None if changed_since(files, began) else digests(files)

    async def _prove(self) -> None:
        if self.runs_jobs:
            await self._starter()
        if self.runs_jobs and (self.config.prewarm is not None or self._spawns):
            process = await self.pool.prove()
            self._modules += process.modules
            self._learn(process.code)
        if self.hook is not None:
            self._modules += await self.hook.start()

    @property
    def sees_secret(self) -> bool:
        """Whether its processes are given LiveKit's key and secret: by the file, else if it is code that expects it."""
        written = self._around.livekit.secret_in_jobs
        return self.values is not None if written is None else written

    async def start(self, process: ChildProcess, kind: str) -> None:
        """The `Starter` of this agent's pool and hook: fork from its template, or spawn where it must not fork."""
        starter = await self._starter()
        await starter.start(process, kind)

    async def reserve(self) -> JobProcess:
        return await self.pool.reserve()

    async def run(self) -> None:
        """Keep its idle processes; the owner's task, which ends when it is retired."""
        await self.pool.run()

    def tune(self, plan: AgentPlan, log: LogConfig) -> None:
        """Take over what of a new plan needs no new generation."""
        self.plan = plan
        level = plan.config.log_level or log.level
        if (level, log.levels) != (self._spec.log_level, self._spec.log_levels):
            self._spec = replace(self._spec, log_level=level, log_levels=log.levels)
            self.tell(LogLevels(level=level, levels=log.levels))
        self._tune_pool()

    def tell(self, message: Message) -> None:
        """Send something to every process of this generation, its jobs included."""
        self.pool.tell(message)
        if self.hook is not None:
            self.hook.tell(message)

    @property
    def modules(self) -> tuple[str, ...]:
        """The files of the user's code that the template imported, or, without one, the processes that proved it."""
        base = self._around.base.modules
        return tuple(module for module in self._modules if module not in base)

    async def retire(self) -> None:
        """End the idle processes, the hook process and the template; not the jobs."""
        await self.pool.close()
        if self.hook is not None:
            await self.hook.close()
        await self._template.close()

    def _learn(self, code: Mapping[str, Any] | None) -> None:
        """Code for livekit-agents says itself how it wants to be hosted, which is known once it is imported."""
        if code is None or self.values is not None:
            return
        self.values = CodeValues(**code)
        self.plan = replace(self.plan, config=taken_over(self.plan.written, self.values))
        self._tune_pool()
        self._make_hook()
        if self._around.livekit.secret_in_jobs is None:
            self._log.info(
                "jobs see the API key and secret",
                reason=f"the code is written for {self.values.framework}, which expects them",
                hint="livekit.secret_in_jobs: false withholds them; ctx.api works all the same",
            )

    def _make_hook(self) -> None:
        """There is one where the file or the code names a function for it."""
        config = self.config
        if self.hook is None and (config.requests.handler is not None or config.load.custom is not None):
            self.hook = Hook(config.id, starter=self, home=self._around.home, init_seconds=config.limits.init)

    def _tune_pool(self) -> None:
        self.pool.num_idle = self.config.num_idle_processes if self.runs_jobs else 0
        self.pool.init_seconds = self.config.limits.init
        self.pool.wake()

    @property
    def _credentials(self) -> dict[str, str]:
        livekit = self._around.livekit
        if not self.sees_secret:
            return {}
        # The url too: the import may have put that of another server in its place (`load_dotenv(override=True)`).
        return {
            "LIVEKIT_URL": livekit.url,
            "LIVEKIT_API_KEY": livekit.api_key,
            "LIVEKIT_API_SECRET": livekit.api_secret,
        }

    async def _starter(self) -> Starter:
        limit = self.config.limits.open_files
        if not self._spawns:
            try:
                return ForkStarter(
                    template=await self._template.living(),
                    open_files=limit,
                    log_level=self._spec.log_level,
                    log_levels=self._spec.log_levels,
                    credentials=self._credentials,
                )
            except MustNotFork as error:
                self._fall_back(error.culprits)
        return SpawnStarter(
            spec=self._spec, identity=self._around.identity, open_files=limit, credentials=self._credentials
        )

    async def _make_template(self) -> Template:
        template = await self._around.base.make_template(self._spec, init_seconds=self.config.limits.init)
        seconds = round(template.ready.result().import_seconds, 3)
        self._modules = template.ready.result().modules
        self._learn(template.ready.result().code)
        self._log.debug("template ready", pid=template.pid, import_seconds=seconds)
        return template

    def _fall_back(self, culprits: tuple[str, ...]) -> None:
        """From now on every process gets an interpreter of its own; said once."""
        if self._spawns:
            return
        self._spawns = True
        self._log.warning(
            "forking is not safe",
            reason="; ".join(culprits),
            effect="every job starts a fresh interpreter, which is slower and takes more memory",
            hint="start threads in prewarm or in the entrypoint, not when the module is imported; "
            "start_method: fork forks all the same, at your risk",
        )


def template_spec(config: AgentConfig, around: Surroundings, generation: int) -> TemplateSpec:
    """What the template of `config` is to be: the environment in full, without the API key and secret."""
    custom = config.load.custom
    return TemplateSpec(
        agent=config.id,
        generation=generation,
        env={**around.environment, **config.env},
        working_dir=os.fspath(config.working_dir),
        path=(around.folder,),
        entrypoint=config.entrypoint or ONLY_ROUTES,
        prewarm=config.prewarm.callable if config.prewarm else None,
        prewarm_shared=bool(config.prewarm and config.prewarm.shared),
        session_end=config.session_end,
        handler=config.requests.handler,
        load=custom.callable if custom else None,
        forks_with_threads=config.start_method is StartMethod.FORK,
        log_level=config.log_level or around.log.level,
        log_levels=around.log.levels,
    )
