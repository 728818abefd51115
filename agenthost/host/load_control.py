"""How full the host and each agent are: measured once a second, told to the server when it matters.

Runs on the host's loop. Slots act at once; cpu, memory and a user's own figure act through a brake, which wants to see
them over their limit for two seconds.
"""

import asyncio
import math
import time
from weakref import WeakKeyDictionary

from msgspec import Struct, field

from agenthost.config.model import LoadLimits
from agenthost.dispatch.registration import LoadReport, Registration
from agenthost.errors import ProcessFailed
from agenthost.host.brake import Brake, worth_reporting
from agenthost.host.current import Current
from agenthost.host.hosted_agent import HostedAgent
from agenthost.host.jobs.registry import JobRegistry
from agenthost.host.machine_load import MachineLoad, MachineSampler
from agenthost.jobs import ActiveJob
from agenthost.logs.events import EventLogger
from agenthost.status import LoadPart

SAMPLE_SECONDS = 1.0
CUSTOM_SECONDS = 0.2

HOST = ""
"""The whole host among the scopes of a limit; the others are agent ids."""


class _Scope(Struct):
    """One set of limits: the host's, or one agent's own. `custom` is the last value of the user's load function,
    `failure` why it has given none since."""

    limits: LoadLimits
    brake: Brake = field(default_factory=Brake)
    custom: float | None = None
    failure: str = ""


class _Sent(Struct):
    report: LoadReport | None = None
    at: float = -math.inf
    timer: asyncio.TimerHandle | None = None

    def forget_rate(self) -> None:
        """The next report need not wait for its turn."""
        self.at = -math.inf
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class LoadControl:
    """Begins without limits; `tune` takes over those of the plan in force."""

    def __init__(self, current: Current, jobs: JobRegistry, *, log: EventLogger) -> None:
        self._current = current
        self._jobs = jobs
        self._log = log
        self._scopes: dict[str, _Scope] = {}
        self._sent: WeakKeyDictionary[Registration, _Sent] = WeakKeyDictionary()
        self._tuned = asyncio.Event()
        self.tune(LoadLimits())
        self._machine = MachineLoad(cpu=None, memory=None)
        self._sampler = MachineSampler()
        jobs.on_end(lambda _: self.report())

    def tune(self, limits: LoadLimits) -> None:
        """Take over the host's limits and those of all agents there are now; brakes that are on stay on.

        What that makes of the load is told without delay: somebody may wait for it.
        """
        wanted = {HOST: limits} | {key: agent.config.load for key, agent in self._current.agents.items()}
        self._scopes = {key: self._scopes.get(key) or _Scope(own) for key, own in wanted.items()}
        for key, own in wanted.items():
            self._scopes[key].limits = own
        for sent in self._sent.values():
            sent.forget_rate()
        self._tuned.set()

    async def run(self) -> None:
        """Sample and report for ever, while a limit needs it; the owner's task, ended by cancelling it."""
        while True:
            self._tuned.clear()
            now = time.monotonic()
            needed = any(_needs_samples(scope.limits) for scope in self._scopes.values())
            if needed:
                self._machine = self._sampler.sample(now)
                await self._ask_custom()
            self._update_brakes(now)
            self.report()
            await (asyncio.sleep(SAMPLE_SECONDS) if needed else self._tuned.wait())

    def _update_brakes(self, now: float) -> None:
        """Those of scopes without a measured limit, too: a reload may have taken away the one that has set it."""
        for key, scope in self._scopes.items():
            measured = [part for part in self.parts(key) if part.name != "max_jobs"]
            was_full = scope.brake.full
            if scope.brake.update(max((part.fraction for part in measured), default=0.0), now) != was_full:
                self._tell_brake(key, scope, measured)

    def report(self) -> None:
        """Tell every registration its load, if it is worth a message."""
        for agent in self._current.agents.values():
            self._report(agent)

    def parts(self, key: str) -> tuple[LoadPart, ...]:
        """Every limit of the scope and how much of it is used."""
        scope = self._scopes[key]
        used = self._jobs.slots_used if key == HOST else self._jobs.slots_of(key)
        limits = scope.limits
        custom = limits.custom
        candidates = (
            ("max_jobs", float(used), limits.max_jobs),
            ("cpu", self._machine.cpu, limits.cpu),
            ("memory", self._machine.memory, limits.memory),
            ("custom", scope.custom, custom.limit if custom else None),
        )
        return tuple(
            LoadPart(name=name, used=value, limit=limit)
            for name, value, limit in candidates
            if value is not None and limit is not None
        )

    def load_of(self, agent: HostedAgent) -> LoadReport:
        """What the server shall know of the worker of `agent`: full when it, the host, or all its targets are."""
        targets = agent.targets or {agent.id}
        fraction = max(self._fraction(HOST), min(self._fraction(target) for target in targets))
        blocked = bool(self._current.closed) or self.is_full(HOST) or all(self.is_full(target) for target in targets)
        return LoadReport(full=blocked, fraction=min(1.0, fraction), jobs=self._jobs.slots_for(agent.id))

    def _fraction(self, key: str) -> float:
        return max((part.fraction for part in self.parts(key)), default=0.0)

    @property
    def max_jobs(self) -> int | None:
        """The host's own limit of jobs."""
        return self._scopes[HOST].limits.max_jobs

    def brakes(self, key: str) -> bool:
        """A measured limit of the host or of agent `key` is reached (slots are asked for exactly, elsewhere)."""
        return self._scopes[HOST].brake.full or self._scopes[key].brake.full

    def is_full(self, key: str) -> bool:
        """A limit of the scope is reached: the slots are taken, or the brake is on."""
        slots = next((part for part in self.parts(key) if part.name == "max_jobs"), None)
        return self._scopes[key].brake.full or (slots is not None and slots.fraction >= 1.0)

    def _report(self, agent: HostedAgent) -> None:
        registration = agent.registration
        if registration is None:
            return
        sent = self._sent.setdefault(registration, _Sent())
        report, now = self.load_of(agent), time.monotonic()
        when = worth_reporting(sent.report, report, last_at=sent.at, now=now)
        if when is None or sent.timer is not None:
            return
        if when > now:
            sent.timer = asyncio.get_running_loop().call_later(when - now, self._report_later, agent, sent)
            return
        sent.report, sent.at = report, now
        registration.report_load(report)

    def _report_later(self, agent: HostedAgent, sent: _Sent) -> None:
        sent.timer = None
        self._report(agent)

    async def _ask_custom(self) -> None:
        asking = [agent for agent in self._current.agents.values() if agent.config.load.custom is not None]
        await asyncio.gather(*(self._ask(agent) for agent in asking))

    async def _ask(self, agent: HostedAgent) -> None:
        """The last value stays when there is no answer in time."""
        assert agent.hook is not None
        scope = self._scopes[agent.id]
        load, failure = None, ""
        try:
            answer = await agent.hook.ask_load(
                self._jobs.slots_of(agent.id),
                seconds=CUSTOM_SECONDS,
                jobs=self._active(agent),
                worker_id=agent.registration.worker_id if agent.registration else "",
            )
            load, failure = answer.load, answer.detail
        except (TimeoutError, ProcessFailed) as error:
            failure = str(error) or "no answer in time"
        if self._scopes.get(agent.id) is not scope:
            return  # a reload has removed the agent meanwhile
        if load is not None and math.isfinite(load):
            scope.custom, scope.failure = load, ""
        else:
            self._tell_failure(agent.id, scope, failure or f"{load} is no load")

    def _active(self, agent: HostedAgent) -> dict[str, ActiveJob]:
        """What a load function for livekit-agents may look at; ours are given the number."""
        if agent.generation.values is None:
            return {}
        return {
            job.id: ActiveJob(
                job=job.offer.encoded,
                identity=accept.identity,
                name=accept.name,
                metadata=accept.metadata,
                attributes=accept.attributes,
            )
            for job, accept in self._jobs.accepted_of(agent.id)
        }

    def _tell_failure(self, agent: str, scope: _Scope, failure: str) -> None:
        """Once for each kind of failure, not once a second."""
        if failure != scope.failure:
            scope.failure = failure
            self._log.warning("load function failed", agent=agent, error=failure, effect="its last value stays")

    def _tell_brake(self, key: str, scope: _Scope, parts: list[LoadPart]) -> None:
        fields: dict[str, object] = {part.name: round(part.used, 3) for part in parts}
        event = "load limit reached" if scope.brake.full else "load below its limit again"
        whose = {"agent": key} if key else {}
        self._log.bind(**whose, **fields).warning(event)


def _needs_samples(limits: LoadLimits) -> bool:
    return limits.cpu is not None or limits.memory is not None or limits.custom is not None
