"""Config → Plan: what the host is to run, resolved and comparable. Pure.

A Plan has one AgentPlan for each agent and one RegistrationKey for each worker socket the server is to see.
"""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct
from msgspec.structs import replace

from agenthost.code_values import CodeValues
from agenthost.config.model import Action, AgentConfig, Config, LiveKitConfig, LoadLimits
from agenthost.errors import EntrypointError
from agenthost.jobs import JobType
from agenthost.rules import RuleSet, compile_rules
from agenthost.taking_over import taken_over


class RegistrationKey(Struct, frozen=True, kw_only=True):
    """What the server knows a worker by, and which server; two workers with one key share the offers."""

    agent_name: str
    type: JobType
    deployment: str
    server: LiveKitConfig

    def is_alike(self, other: "RegistrationKey") -> bool:
        """Whether both are one worker to the server (or to two servers)."""
        return replace(self, server=other.server) == other


class AgentPlan(Struct, frozen=True, kw_only=True):
    """One agent. `registration` is None for an agent that only rules of others reach (`register: false`).

    `config` is what the file says and, where it says nothing, the agent's code; `written` is the file alone.
    `targets` are the ids of the agents whose code its rules may run. `code` is a fingerprint of the files its template
    imported; it is made outside (plans are pure) and equal plans of different code differ in it alone.
    """

    config: AgentConfig
    written: AgentConfig
    rules: RuleSet
    registration: RegistrationKey | None
    targets: frozenset[str]
    code: str

    @property
    def id(self) -> str:
        return self.config.id


class Plan(Struct, frozen=True, kw_only=True):
    """Everything the host runs. `load` are the limits of the whole host."""

    config: Config
    agents: Mapping[str, AgentPlan]
    load: LoadLimits


def plan(
    config: Config,
    code: Mapping[str, str] = MappingProxyType({}),
    values: Mapping[str, CodeValues] = MappingProxyType({}),
) -> Plan:
    """Resolve a valid configuration, by agent id with what is known of the agents' code.

    `code` has the fingerprints of its files, `values` what code for livekit-agents says about how it is hosted.
    """
    by_id = {agent.id: taken_over(agent, values[agent.id]) if agent.id in values else agent for agent in config.agents}
    agents = {
        agent.id: AgentPlan(
            config=agent,
            written=written,
            rules=compile_rules(agent, by_id),
            registration=_registration(agent, config.livekit) if agent.register else None,
            targets=_targets(agent),
            code=code.get(agent.id, ""),
        )
        for written, agent in zip(config.agents, by_id.values(), strict=True)
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


def check_together(plan: Plan) -> None:
    """What the file's checks could not know when agents are named by their code. Raises EntrypointError."""
    seen: dict[RegistrationKey, str] = {}
    for agent in plan.agents.values():
        other = seen.setdefault(agent.registration, agent.id) if agent.registration is not None else agent.id
        if other != agent.id:
            raise EntrypointError(
                f"the agents `{other}` and `{agent.id}` register alike (agent_name {agent.config.agent_name!r}, type "
                f"{agent.config.type.value}): give one another `agent_name`, in the file or in its code"
            )
        for target in sorted(agent.targets):
            if plan.agents[target].config.type is not agent.config.type:
                raise EntrypointError(
                    f"a rule of the agent `{agent.id}` names `{target}`, whose code is of another type "
                    f"({plan.agents[target].config.type.value}): a rule can only name an agent of its own `type`"
                )
