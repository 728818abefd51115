"""One agent's code as of one (re)load, running: its code, its template, its pool, its hook process.

    STARTING ──prove()──▶ ACTIVE ──retire()──▶ RETIRED: no idle processes, no template; its jobs end by themselves

Runs on the host's loop. A template is a disposable thing: when it or the base dies another is made, and the jobs that
run notice nothing. It has the libraries, and generations that differ in the user's own code alone share it; that code
is imported by each process.
"""

import asyncio
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from agenthost import kernel
from agenthost.code_values import CodeValues
from agenthost.config.model import AgentConfig, Imports, LiveKitConfig, LogConfig, StartMethod
from agenthost.ipc.messages import CodeSpec, LogLevels, Message, TemplateSpec
from agenthost.plan import AgentPlan
from agenthost.processes.agent_template import AgentTemplate
from agenthost.processes.base import Base
from agenthost.processes.base_exec import HostIdentity
from agenthost.processes.child_process import ChildProcess
from agenthost.processes.home import ProcessHome
from agenthost.processes.hook_process import Hook
from agenthost.processes.job_process import JobProcess
from agenthost.processes.nameless_file import NamelessFile
from agenthost.processes.pool import Pool
from agenthost.processes.starters import ForkStarter, OwnCode, SpawnStarter, Starter
from agenthost.processes.templates import MustNotFork
from agenthost.taking_over import taken_over
from agenthost.watching.fingerprints import changed_since, digests

ONLY_ROUTES = ""
"""The entrypoint of a template whose agent has none: its forks can only be hook processes."""

MOST_PROOFS = 3
"""So often a process is made that proves the code, while the last one has changed what processes begin with."""


class Surroundings(Struct, frozen=True, kw_only=True):
    """What all agents of a host share."""

    base: Base
    home: ProcessHome
    environment: Mapping[str, str]
    path: tuple[str, ...]
    identity: HostIdentity
    log: LogConfig
    livekit: LiveKitConfig


class Generation:
    """`prove` shows that the code works; afterwards `reserve` gives processes for its jobs.

    `number` counts the generations of one agent from 1. `code` has the digests of the user's files that it imported,
    None while it is not proven, or if one of them may be another now. An agent without entrypoint only routes: it needs
    a template for its hook process alone, and no idle processes. `previous` may have a template that fits.
    """

    def __init__(
        self, plan: AgentPlan, number: int, around: Surroundings, *, previous: "Generation | None" = None
    ) -> None:
        self.plan = plan
        self.number = number
        self.born = time.time()
        self._around = around
        self._log = around.home.log.bind(agent=plan.id, generation=number)
        self.values: CodeValues | None = None
        self._spec = template_spec(plan.written, around)
        self.code: Mapping[Path, str] | None = None
        self._modules: frozenset[str] = frozenset()
        self._compiled = NamelessFile()
        self._proven = False
        self._template = (previous and previous.shared_template(self._spec, around.base)) or AgentTemplate(
            self._spec, base=around.base, init_seconds=plan.config.limits.init, log=self._log
        )
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
    def _script(self) -> str | None:
        """The script, or the module, that is run in a main process; None where there is no such."""
        entrypoint = self.config.entrypoint
        return entrypoint if entrypoint and ":" not in entrypoint and not self._spec.shared else None

    @property
    def config(self) -> AgentConfig:
        return self.plan.config

    async def prove(self) -> None:
        """Import the code, and run prewarm once where there is one. Raises ProcessFailed (InitFailure: the user's)."""
        began = time.time_ns()
        await self._prove()
        self._proven = True
        files = [Path(module) for module in self.modules]
        # A file that was written while it was imported may be either version: it counts as one to import again.
        self.code = None if changed_since(files, began) else digests(files)

    async def _prove(self) -> None:
        if self.hook is not None and self._script is not None:
            main = await self.hook.start()
            self._modules |= frozenset(main.modules)
            self._learn(main.code)
            self._spec = replace(self._spec, code=replace(self._spec.code, functions=main.functions))
        if self.runs_jobs:
            await self._starter()  # what it says about the code comes first: it decides what processes are given
        if self.runs_jobs and (self.config.prewarm is not None or self._spawns or not self._spec.shared):
            for _ in range(MOST_PROOFS):
                given = self._credentials
                process = await self.pool.prove()
                before = self._template
                changed = await self._learn_of(process)
                if self._template is not before:
                    process.discard()  # it has for itself what others find in the template
                if given == self._credentials and not changed:
                    break
                process.discard()  # it began with what is different from now on
        if self.hook is not None and self._script is None:
            hook = await self.hook.start()
            if not self.runs_jobs:
                await self._learn_of(hook)

    async def _learn_of(self, process: ChildProcess) -> bool:
        """What the first process has found out; whether others will find another environment than it did."""
        self._modules |= frozenset(process.modules)
        self._learn(process.code)
        if not process.libraries or self._spawns:
            return False
        before, self._template = self._template, await self._template.learn(process.libraries)
        return self._template is not before and any(library.env for library in process.libraries)

    def shared_template(self, spec: TemplateSpec, base: Base) -> AgentTemplate | None:
        """Its template, if it is what `spec` asks for, for another generation to use it, too."""
        return self._template.share(spec, base)

    @property
    def sees_secret(self) -> bool:
        """Whether its processes are given LiveKit's key and secret: by the file, else if it is code that expects it.

        Until that code was imported, code that imports livekit-agents counts as such.
        """
        written = self._around.livekit.secret_in_jobs
        if written is not None:
            return written
        report = self._template.report
        return self.values is not None or (not self._proven and report is not None and report.framework)

    async def start(self, process: ChildProcess, kind: str) -> None:
        """The `Starter` of this agent's pool and hook: fork from its template, or spawn where it must not fork."""
        starter = await self._starter()
        await starter.start(process, kind)

    async def reserve(self) -> JobProcess:
        return await self.pool.reserve()

    async def run(self) -> None:
        """Keep its idle processes; the owner's task, which ends when it is retired."""
        if self.hook is None:
            await self.pool.run()
        else:
            await asyncio.gather(self.pool.run(), self.hook.keep())

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
        """The files of the user's code that the process imported which proved it."""
        return tuple(sorted(self._modules - self._around.base.modules))

    async def retire(self) -> None:
        """End the idle processes, the hook process and the template; not the jobs."""
        await self.pool.close()
        if self.hook is not None:
            await self.hook.close()
        await self._template.release()
        self._compiled.close()

    def _learn(self, code: Mapping[str, Any] | None) -> None:
        """Code for livekit-agents says itself how it wants to be hosted, which is known once it is imported."""
        if code is None or self.values is not None:
            return
        self.values = CodeValues(**code)
        self.plan = replace(self.plan, config=taken_over(self.plan.written, self.values))
        self._tune_pool()
        self._make_hook()
        if self.values.passed_over:
            self._log.warning(
                "options of the code have no effect",
                options=self.values.without_effect,
                reason=f"agenthost does in its own way what {self.values.framework} would do",
            )
        if self._around.livekit.secret_in_jobs is None:
            self._log.info(
                "jobs see the API key and secret",
                reason=f"the code is written for {self.values.framework}, which expects them",
                hint="livekit.secret_in_jobs: false withholds them; ctx.api works all the same",
            )

    def _make_hook(self) -> None:
        """There is one where the file or the code names a function for it, and as the main process of a script."""
        config = self.config
        asked = config.requests.handler is not None or config.load.custom is not None
        if self.hook is None and (asked or self._script is not None):
            self.hook = Hook(
                config.id,
                starter=self,
                home=self._around.home,
                init_seconds=config.limits.init,
                script=self._script,
            )

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
        code = OwnCode(spec=self._spec.code, file=self._compiled, learns=not self._proven)
        if not self._spawns:
            try:
                template = await self._template.living()
                self._learn_of_template()
                return ForkStarter(
                    template=template,
                    code=code,
                    open_files=limit,
                    log_level=self._spec.log_level,
                    log_levels=self._spec.log_levels,
                    credentials=self._credentials,
                )
            except MustNotFork as error:
                self._fall_back(error.culprits)
        return SpawnStarter(
            spec=self._spec, code=code, identity=self._around.identity, open_files=limit, credentials=self._credentials
        )

    def _learn_of_template(self) -> None:
        """One with the user's own code has found out what a process does otherwise."""
        report = self._template.report
        if report is not None and self._spec.shared:
            self._modules = frozenset(report.modules)
            self._learn(report.code)

    def _fall_back(self, culprits: tuple[str, ...]) -> None:
        """From now on every process gets an interpreter of its own; said once."""
        if self._spawns:
            return
        self._spawns = True
        self._log.warning(
            "forking is not safe",
            reason="; ".join(culprits),
            effect="every job starts a fresh interpreter, which is slower and takes more memory",
            hint="start_method: spawn says so in the file",
        )


def template_spec(config: AgentConfig, around: Surroundings) -> TemplateSpec:
    """What the template of `config` is to be: the environment in full, without the API key and secret."""
    custom = config.load.custom
    return TemplateSpec(
        agent=config.id,
        env={**around.environment, **config.env},
        working_dir=os.fspath(config.working_dir),
        arguments=config.arguments,
        path=around.path,
        code=CodeSpec(
            entrypoint=config.entrypoint or ONLY_ROUTES,
            prewarm=config.prewarm.callable if config.prewarm else None,
            prewarm_shared=bool(config.prewarm and config.prewarm.shared),
            session_end=config.session_end,
            handler=config.requests.handler,
            load=custom.callable if custom else None,
        ),
        shared=config.imports is Imports.SHARED,
        log_level=config.log_level or around.log.level,
        log_levels=around.log.levels,
    )
