"""Turns the running fleet into what a new plan says: everything new first, then one swap, then the old is retired.

Runs on the host's loop. In order: new base (if what it imports changed), new templates up and proven, new
registrations open; until here every failure leaves the host exactly as it was. Then plan, generations and
registrations are replaced in one step of the loop, so an offer meets the old host or the new one and nothing between.
It ends when the server knows: who dispatches a job from then on is served by what is new.
"""

import asyncio

from msgspec import Struct, field
from msgspec.structs import replace

from agenthost.changes import AgentChange, PlanChange, diff
from agenthost.dispatch.registration import LoadReport, Registration
from agenthost.errors import EntrypointError, ProcessFailed
from agenthost.host.fleet import Fleet
from agenthost.host.generation import Generation, Surroundings
from agenthost.host.hosted_agent import HostedAgent
from agenthost.logs.stack_dumps import innermost
from agenthost.plan import AgentPlan, Plan, check_together
from agenthost.plan import plan as make_plan
from agenthost.processes.child_process import Hung, InitFailure

_NOT_YET = LoadReport(full=True, fraction=1.0, jobs=0)
"""What a new registration reports until the swap: an offer before it would find no agent to take it."""


class UnusableCode(EntrypointError):
    """New code that does not work. `files` are the user's that it got to import, and the one that failed."""

    def __init__(self, message: str, *, traceback_text: str = "", files: tuple[str, ...] = ()) -> None:
        super().__init__(message, traceback_text=traceback_text)
        self.files = files


class Prepared(Struct):
    """What is new and runs already beside the old; thrown away when anything of it fails.

    `plan` and `change` are completed by what the new code says about itself, once it is imported.
    """

    plan: Plan
    change: PlanChange
    around: Surroundings
    generations: dict[str, Generation] = field(default_factory=dict)
    agents: dict[str, HostedAgent] = field(default_factory=dict)
    registrations: dict[str, Registration] = field(default_factory=dict)


async def start(fleet: Fleet, plan: Plan) -> None:
    """The first plan of a fleet: like a reload from nothing, but a server that is away is tried for ever.

    Here the registrations come last: nobody else serves these agents meanwhile, and from its first moment on the
    server is to know what load they have.
    """
    change = PlanChange(agents=tuple(AgentChange(agent=key, added=True) for key in plan.agents))
    prepared = Prepared(plan=plan, change=change, around=fleet.around)
    try:
        await _start_new(fleet, prepared)
    except BaseException:
        await _throw_away(fleet, prepared)
        raise
    take_over(fleet, prepared)

    async def register(agent: HostedAgent) -> None:
        if agent.plan.registration is not None:
            load = fleet.load.load_of(agent)
            offers = fleet.offers_to(agent)
            agent.registration = await fleet.registrar.open(agent.id, agent.plan.registration, offers=offers, load=load)

    await asyncio.gather(*map(register, fleet.agents.values()))
    fleet.load.report()


async def prepare(fleet: Fleet, plan: Plan, change: PlanChange) -> Prepared:
    """Everything new that `plan` needs, up and proven beside what runs: `take_over` makes it the fleet.

    Raises what kept it from that. Then, and when it is cancelled, nothing has changed and nothing of it stays.
    """
    around = fleet.surroundings(plan, new_base=bool(change.base))
    prepared = Prepared(plan=plan, change=change, around=around)
    try:
        await _start_new(fleet, prepared)
        await _open_registrations(fleet, prepared)
    except asyncio.CancelledError:
        # Whoever wants something else now need not wait until a prewarm that hangs is gone.
        fleet.clear_away(_throw_away(fleet, prepared))
        raise
    except BaseException:
        await _throw_away(fleet, prepared)
        raise
    return prepared


async def _start_new(fleet: Fleet, prepared: Prepared) -> None:
    """Start what is new, and learn what its code says about its hosting."""
    await _start_generations(fleet, prepared)
    _complete_by_code(fleet, prepared)
    for one in prepared.change.agents:
        if one.added:
            plan, generation = prepared.plan.agents[one.agent], prepared.generations[one.agent]
            prepared.agents[one.agent] = HostedAgent(plan, generation)


async def _start_generations(fleet: Fleet, prepared: Prepared) -> None:
    for one in prepared.change.agents:
        if one.added or one.generation:
            number = fleet.next_number(one.agent)
            previous = fleet.agents[one.agent].generation if one.agent in fleet.agents else None
            plan = prepared.plan.agents[one.agent]
            prepared.generations[one.agent] = Generation(plan, number, prepared.around, previous=previous)
    proofs = [generation.prove() for generation in prepared.generations.values()]
    results = await asyncio.gather(*proofs, return_exceptions=True)
    for agent, result in zip(prepared.generations, results, strict=True):
        if isinstance(result, ProcessFailed):
            raise _unusable(agent, result)
        if isinstance(result, BaseException):
            raise result


def _complete_by_code(fleet: Fleet, prepared: Prepared) -> None:
    """Code for livekit-agents names its agent, permissions and limits itself: known now that it is imported."""
    new = {key: generation.values for key, generation in prepared.generations.items()}
    old = fleet.code_values()
    if not any(new.values()) and not old.keys() & new.keys():
        return
    plan, change = prepared.plan, prepared.change
    values = {key: said for key, said in (old | new).items() if said is not None}
    again = make_plan(plan.config, {key: agent.code for key, agent in plan.agents.items()}, values)
    check_together(again)
    found = {one.agent: one for one in diff(fleet.plan, again).agents}
    agents = tuple(
        one if one.added or one.removed else replace(found[one.agent], generation=one.generation)
        for one in change.agents
    )
    prepared.plan, prepared.change = again, replace(change, agents=agents)


async def _open_registrations(fleet: Fleet, prepared: Prepared) -> None:
    changes = prepared.change.agents
    wanted = [prepared.plan.agents[one.agent] for one in changes if not one.removed and (one.added or one.registration)]

    async def open_one(agent: AgentPlan) -> None:
        if agent.registration is not None:
            offers = fleet.offers_to(prepared.agents.get(agent.id) or fleet.agents[agent.id])
            prepared.registrations[agent.id] = await fleet.registrar.open_surely(
                agent.id, agent.registration, offers=offers, load=_NOT_YET
            )

    results = await asyncio.gather(*map(open_one, wanted), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


def take_over(fleet: Fleet, prepared: Prepared) -> None:
    """Make what was prepared the fleet, in one step of the loop: no await here.

    The server knows of it once the fleet is `heard`.
    """
    plan, change = prepared.plan, prepared.change
    agents = {key: prepared.agents.get(key) or fleet.agents[key] for key in plan.agents}
    for one in change.agents:
        if not one.removed:
            _update(fleet, agents[one.agent], plan.agents[one.agent], one, prepared)
    for one in change.agents:
        if one.removed:
            _retire(fleet, fleet.agents[one.agent], agents.get(one.successor))
    fleet.adopt(plan, agents, prepared.around)
    for generation in prepared.generations.values():
        fleet.keep(generation)


def _update(fleet: Fleet, agent: HostedAgent, plan: AgentPlan, change: AgentChange, prepared: Prepared) -> None:
    agent.plan = plan
    generation = prepared.generations.get(agent.id, agent.generation)
    if generation is not agent.generation:
        fleet.retire(agent.generation)
        agent.generation = generation
    generation.tune(plan, prepared.around.log)
    if change.added or change.registration:
        old, agent.registration = agent.registration, prepared.registrations.get(agent.id)
        if old is not None:
            fleet.registrar.retire(agent.id, old, agent.registration)


def _retire(fleet: Fleet, agent: HostedAgent, successor: HostedAgent | None) -> None:
    """What was dispatched for the old name is for the successor to take, until the server knows the new one."""
    fleet.retire(agent.generation)
    agent.successor = successor
    if agent.registration is not None:
        heir = successor.registration if successor is not None else None
        fleet.registrar.retire(agent.current.id, agent.registration, heir)


async def _throw_away(fleet: Fleet, prepared: Prepared) -> None:
    await asyncio.gather(*map(fleet.registrar.discard, prepared.registrations.values()))
    await asyncio.gather(*(generation.retire() for generation in prepared.generations.values()))
    if prepared.around.base is not fleet.around.base:
        await prepared.around.base.close()


def _unusable(agent: str, failure: ProcessFailed) -> UnusableCode:
    if isinstance(failure, Hung):
        place = innermost(failure.stacks)
        where = f" at {place[0]}:{place[1]}" if place else ""
        message = f"agent `{agent}` hangs{where}: {failure}; if it only is slow, write a longer `limits.init`"
        return UnusableCode(message, traceback_text=failure.stacks, files=(place[0],) if place else ())
    if not isinstance(failure, InitFailure):
        return UnusableCode(f"agent `{agent}` cannot run: {failure}")
    report = failure.report
    where = f" at {report.file}:{report.line}" if report.file else ""
    message = f"agent `{agent}`: {report.phase} failed{where}: {report.message}"
    files = (*report.modules, report.file) if report.file else report.modules
    return UnusableCode(message, traceback_text=report.traceback, files=files)
