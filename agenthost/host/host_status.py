"""A frozen picture of the host, made when somebody asks. Runs on the host's loop."""

from agenthost.dispatch.registration import RegistrationState
from agenthost.host.fleet import Fleet
from agenthost.host.hosted_agent import HostedAgent
from agenthost.host.load_control import HOST
from agenthost.status import AgentStatus, HostState, HostStatus, LoadPart
from agenthost.version import __version__


def host_status(fleet: Fleet, *, state: HostState, started_at: float, log_lines_dropped: int) -> HostStatus:
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
        log_lines_dropped=log_lines_dropped,
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
    )


def _largest(parts: tuple[LoadPart, ...]) -> float:
    return max((part.fraction for part in parts), default=0.0)
