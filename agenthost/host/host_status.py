"""A frozen picture of the host, made when somebody asks. Runs on the host's loop."""

import os

from agenthost.dispatch.registration import RegistrationState
from agenthost.host.fleet import Fleet
from agenthost.host.hosted_agent import HostedAgent
from agenthost.host.load_control import HOST
from agenthost.status import (
    AgentStatus,
    GenerationStatus,
    HostState,
    HostStatus,
    LoadPart,
    RegistrationStatus,
    ReloadStatus,
)
from agenthost.version import __version__


def host_status(
    fleet: Fleet, *, state: HostState, started_at: float, last_reload: ReloadStatus | None, log_lines_dropped: int
) -> HostStatus:
    parts = fleet.load.parts(HOST)
    return HostStatus(
        state=state,
        version=__version__,
        agents=tuple(_agent_status(agent, fleet) for agent in fleet.agents.values()),
        started_at=started_at,
        slots_total=fleet.plan.load.max_jobs,
        slots_used=fleet.slots.used,
        full=fleet.load.is_full(HOST),
        load=_largest(parts),
        load_parts=parts,
        last_reload=last_reload,
        log_lines_dropped=log_lines_dropped,
        file=os.fspath(fleet.plan.config.file),
    )


def _agent_status(agent: HostedAgent, fleet: Fleet) -> AgentStatus:
    registration = agent.registration
    parts = fleet.load.parts(agent.id)
    return AgentStatus(
        id=agent.id,
        agent_name=agent.config.agent_name,
        type=agent.config.type,
        registers=agent.config.register,
        registered=registration is not None and registration.state is RegistrationState.REGISTERED,
        worker_id=registration.worker_id if registration is not None else "",
        generation=agent.generation.number,
        jobs=fleet.jobs.of_agent(agent.id),
        idle=agent.generation.pool.statistics().idle,
        slots_total=agent.config.load.max_jobs,
        slots_used=fleet.slots.used_by(agent.id),
        full=fleet.load.is_full(agent.id),
        load=_largest(parts),
        load_parts=parts,
        generations=_generations(agent, fleet),
        registrations=_registrations(agent, fleet),
    )


def _generations(agent: HostedAgent, fleet: Fleet) -> tuple[GenerationStatus, ...]:
    old = sorted((one for one in fleet.retired if one.plan.id == agent.id), key=lambda one: -one.number)
    return tuple(
        GenerationStatus(
            number=one.number,
            jobs=fleet.jobs.of_generation(agent.id, one.number),
            since=one.born,
            current=one is agent.generation,
        )
        for one in (agent.generation, *old)
    )


def _registrations(agent: HostedAgent, fleet: Fleet) -> tuple[RegistrationStatus, ...]:
    old = fleet.registrar.retired(agent.id)
    return tuple(
        RegistrationStatus(
            agent_name=one.key.agent_name,
            type=one.key.type,
            deployment=one.key.deployment,
            url=one.key.server.url,
            state="draining" if one is not agent.registration else one.state.value,
            worker_id=one.worker_id,
            jobs=fleet.jobs.over(one),
        )
        for one in ((agent.registration, *old) if agent.registration is not None else old)
    )


def _largest(parts: tuple[LoadPart, ...]) -> float:
    return max((part.fraction for part in parts), default=0.0)
