"""`Fleet`: the agents of a host and everything they share; what a reload replaces is replaced here.

Runs on the host's loop. Plan, agents and `around` always belong together: `adopt` changes the three in one step.
"""

import os
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path

from agenthost import kernel
from agenthost.code_values import CodeValues
from agenthost.config.model import Config, LiveKitConfig
from agenthost.config.named_code import code_folders
from agenthost.dispatch.registration import Offers
from agenthost.host.current import Current
from agenthost.host.generation import Generation, Surroundings
from agenthost.host.hosted_agent import HostedAgent
from agenthost.host.jobs.registry import JobRegistry
from agenthost.host.load_control import LoadControl
from agenthost.host.registrar import Registrar
from agenthost.host.tasks import Tasks
from agenthost.ipc.messages import BaseSpec
from agenthost.jobs import JobType
from agenthost.logs.events import get_logger
from agenthost.plan import Plan
from agenthost.processes.base import Base
from agenthost.processes.base_exec import BaseProcess, HostIdentity, base_environment, exec_base
from agenthost.processes.home import ProcessHome
from agenthost.recovery.policy import REJOIN
from agenthost.watching.fingerprints import digests

DESCRIPTORS_A_JOB = 4
"""What a host has open for each job: a channel and three pipes."""

DESCRIPTORS_OF_ITS_OWN = 64
"""Templates, sockets to the server, HTTP, the files of a reload: about so many, however many jobs run."""

REJOIN_SECONDS = 0.5
"""What an entrypoint gets to return before its job rejoins: somebody has just saved a file and looks at the screen."""


class Fleet:
    """Begins with the plan of `current`, and no agents."""

    def __init__(
        self,
        current: Current,
        *,
        jobs: JobRegistry,
        load: LoadControl,
        registrar: Registrar,
        offers_to: Callable[[HostedAgent], Offers],
        first_base: BaseProcess,
        home: ProcessHome,
        tasks: Tasks,
    ) -> None:
        self.current = current
        self.jobs = jobs
        self.load = load
        self.registrar = registrar
        self.offers_to = offers_to
        self.retired: set[Generation] = set()
        self._identity = first_base.identity
        self._first_base: BaseProcess | None = first_base
        self._home = home
        self._tasks = tasks
        self.base_code: Mapping[Path, str] = {}
        self.around = self.surroundings(current.plan, new_base=True)
        jobs.on_end(lambda _: self._forget_empty())

    @property
    def plan(self) -> Plan:
        """The plan in force."""
        return self.current.plan

    @property
    def agents(self) -> Mapping[str, HostedAgent]:
        """The agents in force, by id."""
        return self.current.agents

    def surroundings(self, plan: Plan, *, new_base: bool) -> Surroundings:
        """What generations of `plan` start in; with a base of its own if what the base imported has changed."""
        config = plan.config
        return Surroundings(
            base=self._new_base(config) if new_base else self.around.base,
            home=self._home,
            environment=job_environment(self._identity, config.environment, config.livekit),
            path=code_folders(config.folder),
            identity=self._identity,
            log=config.log,
            livekit=config.livekit,
        )

    def code_values(self) -> dict[str, CodeValues]:
        """What the running code for livekit-agents says about how it is hosted, by agent id."""
        generations = {key: agent.generation for key, agent in self.agents.items()}
        return {key: generation.values for key, generation in generations.items() if generation.values is not None}

    def adopt(self, plan: Plan, agents: Mapping[str, HostedAgent], around: Surroundings) -> None:
        """From now on this is the fleet; the base of before ends if it is another one."""
        old = self.around
        self.current.plan, self.current.agents, self.around = plan, agents, around
        self.base_code = digests(map(Path, around.base.modules))
        watches = plan.config.reload.watch or plan.config.reload.paths
        around.base.rests = not watches  # somebody who edits waits for each template
        self.load.tune(plan.load)
        self.load.report()
        _warn_of_too_few_descriptors(plan)
        if old.base is not around.base:
            self._tasks.create_task(old.base.close())

    async def heard(self) -> None:
        """Until the server knows how full every agent is."""
        registrations = (agent.registration for agent in self.agents.values())
        await self.registrar.heard(one for one in registrations if one is not None)

    def next_number(self, agent: str) -> int:
        """The number of an agent's next generation; jobs of one that was removed and comes back keep theirs."""
        living = [one.number for one in self.retired if one.plan.id == agent]
        if agent in self.agents:
            living.append(self.agents[agent].generation.number)
        return max(living, default=0) + 1

    @property
    def code_files(self) -> frozenset[Path]:
        """Every file of user code that is loaded for new jobs."""
        modules = {module for agent in self.agents.values() for module in agent.generation.modules}
        return frozenset(map(Path, modules | self.around.base.modules))

    def rejoin(self) -> None:
        """Have the jobs that run on replaced code come back on the new one, where a dispatch is one job."""
        for job in self.jobs.running():
            agent = self.agents.get(job.agent)
            if agent is None or agent.config.type is not JobType.ROOM or not job.offer.dispatch_id:
                continue
            if job.running is not None and not job.is_on(agent.generation):
                job.running.stop(REJOIN, grace_seconds=REJOIN_SECONDS)

    def keep(self, generation: Generation) -> None:
        """Have a generation keep its idle processes."""
        self._tasks.keep(generation.run)

    def retire(self, generation: Generation) -> None:
        """Give it no more jobs; those it has end by themselves."""
        self.retired.add(generation)
        self._tasks.create_task(generation.retire())
        self._forget_empty()

    def clear_away(self, work: Coroutine[None, None, None]) -> None:
        """Have something done that nobody waits for; the end of the host does."""
        self._tasks.create_task(work)

    async def close(self) -> None:
        """End all processes that run no job."""
        for agent in self.agents.values():
            await agent.generation.retire()
        await self.around.base.close()

    def _forget_empty(self) -> None:
        for generation in list(self.retired):
            # What it has started for an offer may still become a job.
            if not generation.pool.statistics().reserved and not self.jobs.needs(generation):
                self.retired.discard(generation)

    def _new_base(self, config: Config) -> Base:
        process, self._first_base = self._first_base, None
        # The first one was exec'd before the file was read, which may take key and secret from any variable.
        forget = tuple(name for name in os.environ if name not in config.environment)
        return Base(
            process or exec_base(self._identity, config.environment),
            BaseSpec(path=code_folders(config.folder), preload=config.preload, forget=forget),
            environment=config.environment,
            home=self._home,
        )


def _warn_of_too_few_descriptors(plan: Plan) -> None:
    """A job that could not be started for want of descriptors is better known of beforehand."""
    jobs, files = plan.load.max_jobs, kernel.open_files_limit()
    if jobs is None or files is None or jobs * DESCRIPTORS_A_JOB + DESCRIPTORS_OF_ITS_OWN <= files:
        return
    possible = max(0, files - DESCRIPTORS_OF_ITS_OWN) // DESCRIPTORS_A_JOB
    get_logger("host").warning(
        "more jobs than open files allow",
        max_jobs=jobs,
        open_files=files,
        possible_jobs=possible,
        hint="raise the hard limit of open files (ulimit -Hn, LimitNOFILE=), or lower load.max_jobs",
    )


def job_environment(identity: HostIdentity, environment: Mapping[str, str], livekit: LiveKitConfig) -> dict[str, str]:
    """What user code runs with: never the key or the secret, unless the file says so."""
    result = base_environment(identity, environment) | {
        "LIVEKIT_URL": livekit.url,
        kernel.LIVEKIT_PROXY: livekit.proxy or "",
    }
    if livekit.secret_in_jobs:
        result |= {"LIVEKIT_API_KEY": livekit.api_key, "LIVEKIT_API_SECRET": livekit.api_secret}
    return result
