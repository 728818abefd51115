"""A frozen picture of the host, made when somebody asks. Runs on the host's loop."""

from typing import TYPE_CHECKING

from agenthost.dispatch.registration import RegistrationState
from agenthost.host.hosted_agent import HostedAgent
from agenthost.host.load_control import HOST
from agenthost.status import AgentStatus, HostStatus, LoadPart

if TYPE_CHECKING:
    from agenthost.host.host import Host


def host_status(host: "Host", *, version: str) -> HostStatus:
    parts = host.load.parts(HOST)
    return HostStatus(
        state=host.state,
        version=version,
        agents=tuple(_agent_status(agent, host) for agent in host.agents.values()),
        started_at=host.started_at,
        slots_total=host.plan.load.max_jobs,
        slots_used=host.slots.used,
        full=host.load.is_full(HOST),
        load=_largest(parts),
        load_parts=parts,
        log_lines_dropped=host.log_lines_dropped,
    )


def _agent_status(agent: HostedAgent, host: "Host") -> AgentStatus:
    registration = agent.registration
    parts = host.load.parts(agent.id)
    pool = agent.pool.statistics()
    return AgentStatus(
        id=agent.id,
        agent_name=agent.config.agent_name,
        type=agent.config.type,
        registers=agent.config.register,
        registered=registration is not None and registration.state is RegistrationState.REGISTERED,
        worker_id=registration.worker_id if registration is not None else "",
        generation=agent.generation,
        jobs=host.jobs.of_agent(agent.id),
        idle=pool.idle,
        slots_total=agent.config.load.max_jobs,
        slots_used=host.slots.used_by(agent.id),
        full=host.load.is_full(agent.id),
        load=_largest(parts),
        load_parts=parts,
    )


def _largest(parts: tuple[LoadPart, ...]) -> float:
    return max((part.fraction for part in parts), default=0.0)
