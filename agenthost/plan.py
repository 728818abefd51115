"""Config → Plan: what the host is to run, resolved and comparable. Pure.

A Plan has one AgentPlan for each agent and one RegistrationKey for each worker socket the server is to see.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from agenthost.config.model import Action, AgentConfig, Config, LiveKitConfig, LoadLimits
from agenthost.jobs import JobType
from agenthost.rules import RuleSet, compile_rules


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationKey:
    """What the server knows a worker by, and which server; two workers with one key share the offers."""

    agent_name: str
    type: JobType
    deployment: str
    server: LiveKitConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentPlan:
    """One agent. `registration` is None for an agent that only rules of others reach (`register: false`).

    `targets` are the ids of the agents whose code its rules may run. `code` is a fingerprint of the files its template
    imported; it is made outside (plans are pure) and equal plans of different code differ in it alone.
    """

    config: AgentConfig
    rules: RuleSet
    registration: RegistrationKey | None
    targets: frozenset[str]
    code: str

    @property
    def id(self) -> str:
        return self.config.id


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything the host runs. `load` are the limits of the whole host."""

    config: Config
    agents: Mapping[str, AgentPlan]
    load: LoadLimits


def plan(config: Config, code: Mapping[str, str] = MappingProxyType({})) -> Plan:
    """Resolve a valid configuration; `code` has the fingerprints of the agents' code, by agent id, where known."""
    by_id = {agent.id: agent for agent in config.agents}
    agents = {
        agent.id: AgentPlan(
            config=agent,
            rules=compile_rules(agent, by_id),
            registration=_registration(agent, config.livekit) if agent.register else None,
            targets=_targets(agent),
            code=code.get(agent.id, ""),
        )
        for agent in config.agents
    }
    return Plan(config=config, agents=agents, load=config.load)


def _targets(agent: AgentConfig) -> frozenset[str]:
    requests = agent.requests
    routed = {rule.agent for rule in requests.rules if rule.agent is not None}
    accepts = requests.otherwise is Action.ACCEPT or any(
        rule.agent is None and rule.action is Action.ACCEPT for rule in requests.rules
    )
    return frozenset(routed | {agent.id} if accepts else routed)


def _registration(agent: AgentConfig, server: LiveKitConfig) -> RegistrationKey:
    return RegistrationKey(agent_name=agent.agent_name, type=agent.type, deployment=agent.deployment, server=server)
