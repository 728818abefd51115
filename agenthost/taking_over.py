"""How what an agent's code says meets what its file says. Pure.

The file wins over the code, the code over our defaults.
"""

from typing import Any

from msgspec.structs import replace

from agenthost.code_values import CodeValues
from agenthost.config.model import AgentConfig, CustomLoad, Limits, LoadLimits, Permissions, Prewarm
from agenthost.jobs import JobType


def taken_over(agent: AgentConfig, values: CodeValues) -> AgentConfig:
    """`agent` with everything that its code says and its file does not."""
    given = {
        "agent_name": values.agent_name,
        "type": None if values.type is None else JobType(values.type),
        "deployment": values.deployment,
        "num_idle_processes": values.num_idle_processes,
        "drain_timeout": values.drain_timeout,
    }
    plain: dict[str, Any] = {
        key: value for key, value in given.items() if value is not None and key not in agent.written
    }
    result = replace(
        agent,
        **plain,
        permissions=_permissions(agent, values),
        limits=_limits(agent, values),
        load=_load(agent, values),
    )
    if values.prewarm and agent.prewarm is None:
        result = replace(result, prewarm=Prewarm(callable=_inside(agent, "prewarm"), shared=False))
    if values.handler and agent.requests.handler is None:
        result = replace(result, requests=replace(agent.requests, handler=_inside(agent, "request function")))
    if "unique_per_room" not in agent.written:
        result = replace(result, unique_per_room=result.agent_name == "" and result.type is JobType.ROOM)
    return result


def _permissions(agent: AgentConfig, values: CodeValues) -> Permissions:
    said = {key: value for key, value in values.permissions.items() if f"permissions.{key}" not in agent.written}
    if (sources := said.get("can_publish_sources")) is not None:
        said["can_publish_sources"] = tuple(sources)
    return replace(agent.permissions, **said)


def _limits(agent: AgentConfig, values: CodeValues) -> Limits:
    said: dict[str, Any] = {key: value for key, value in values.limits.items() if f"limits.{key}" not in agent.written}
    return replace(agent.limits, **said)


def _load(agent: AgentConfig, values: CodeValues) -> LoadLimits:
    """A `load` in the file is all there is, as everywhere: if it is written, only the limits written apply."""
    if "load" in agent.written:
        return agent.load
    if values.load and values.load_limit is not None:
        custom = CustomLoad(callable=_inside(agent, "load function"), limit=values.load_limit)
        return replace(agent.load, custom=custom)
    if values.cpu_limit is not None:
        return replace(agent.load, cpu=values.cpu_limit)
    return agent.load


def _inside(agent: AgentConfig, what: str) -> str:
    """What stands for a reference where the function is named by the code and not by the file."""
    return f"the {what} of {agent.entrypoint}"
