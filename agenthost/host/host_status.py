"""A frozen picture of the host, made when somebody asks. Runs on the host's loop."""

import os
from collections.abc import Iterator

from agenthost.dispatch.registration import Registration, RegistrationState
from agenthost.host.fleet import Fleet
from agenthost.host.generation import Generation
from agenthost.host.hosted_agent import HostedAgent
from agenthost.host.load_control import HOST
from agenthost.status import (
    AgentStatus,
    GenerationStatus,
    HostStatus,
    LoadPart,
    RegistrationStatus,
    ReloadStatus,
)
from agenthost.version import __version__


def host_status(
    fleet: Fleet, *, started_at: float, last_reload: ReloadStatus | None, log_lines_dropped: int
) -> HostStatus:
    parts = fleet.load.parts(HOST)
    return HostStatus(
        state=fleet.current.state,
        version=__version__,
        agents=(*(_agent_status(agent, fleet) for agent in fleet.agents.values()), *_removed(fleet)),
        started_at=started_at,
        slots_total=fleet.plan.load.max_jobs,
        slots_used=fleet.jobs.slots_used,
        full=fleet.load.is_full(HOST),
        load=_largest(parts),
        load_parts=parts,
        last_reload=last_reload,
        log_lines_dropped=log_lines_dropped,
        pid=os.getpid(),
        file=os.fsencode(fleet.plan.config.identity).decode(errors="backslashreplace"),
    )


def _agent_status(agent: HostedAgent, fleet: Fleet) -> AgentStatus:
    registration = agent.registration
    parts = fleet.load.parts(agent.id)
    pool = agent.generation.pool.statistics()
    return AgentStatus(
        id=agent.id,
        agent_name=agent.config.agent_name,
        type=agent.config.type,
        registers=agent.config.register,
        registered=registration is not None and registration.state is RegistrationState.REGISTERED,
        worker_id=registration.worker_id if registration is not None else "",
        generation=agent.generation.number,
        jobs=fleet.jobs.of_agent(agent.id),
        idle=pool.idle,
        failures=pool.failures,
        slots_total=agent.config.load.max_jobs,
        slots_used=fleet.jobs.slots_of(agent.id),
        full=fleet.load.is_full(agent.id),
        load=_largest(parts),
        load_parts=parts,
        generations=_generations(agent.id, fleet, agent.generation),
        registrations=_registrations(agent.id, fleet, registration),
    )


def _removed(fleet: Fleet) -> Iterator[AgentStatus]:
    """Agents that are in the file no more, while jobs of theirs run."""
    for key in dict.fromkeys(one.plan.id for one in fleet.retired if one.plan.id not in fleet.agents):
        generations = _generations(key, fleet, None)
        newest = max((one for one in fleet.retired if one.plan.id == key), key=lambda one: one.number)
        used = fleet.jobs.slots_of(key)
        yield AgentStatus(
            id=key,
            agent_name=newest.config.agent_name,
            type=newest.config.type,
            registers=False,
            generation=newest.number,
            jobs=fleet.jobs.of_agent(key),
            slots_total=used,
            slots_used=used,
            generations=generations,
            registrations=_registrations(key, fleet, None),
            removed=True,
        )


def _generations(agent: str, fleet: Fleet, current: Generation | None) -> tuple[GenerationStatus, ...]:
    old = sorted((one for one in fleet.retired if one.plan.id == agent), key=lambda one: -one.number)
    return tuple(
        GenerationStatus(
            number=one.number,
            jobs=fleet.jobs.of_generation(one),
            since=one.born,
            current=one is current,
        )
        for one in (*([current] if current is not None else []), *old)
    )


def _registrations(agent: str, fleet: Fleet, current: Registration | None) -> tuple[RegistrationStatus, ...]:
    old = fleet.registrar.retired(agent)
    return tuple(
        RegistrationStatus(
            agent_name=one.key.agent_name,
            type=one.key.type,
            deployment=one.key.deployment,
            url=one.key.server.url,
            state="draining" if one is not current else one.state.value,
            worker_id=one.worker_id,
            jobs=len(fleet.jobs.over(one)),
        )
        for one in (*([current] if current is not None else []), *old)
    )


def _largest(parts: tuple[LoadPart, ...]) -> float:
    return max((part.fraction for part in parts), default=0.0)
