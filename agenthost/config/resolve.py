"""Canonical file → resolved file: every agent with the top-level defaults merged in, every key with its value.

What nobody wrote gets its default here, as a node like any other whose origin says so; the values, the checks
and `config show` all read the result. Pure: facts about the environment and the machine are passed in.
"""

from collections.abc import Mapping

from msgspec import Struct
from msgspec.structs import replace

from agenthost.config.fields import UNSET, Kind, Spec
from agenthost.config.host_fields import AGENT_KEYS, FILE, HOST_KEYS, MERGED_BY_KEY, NOT_A_DEFAULT
from agenthost.config.nodes import BUILT_IN, NOWHERE, Node, Origin, OriginKind, Scalar, find
from agenthost.config.proxies import VARIABLES, goes_direct
from agenthost.config.scalars import write_scalar

AGENT = FILE.children["agents"]
_TEXTS = (Kind.TEXT, Kind.TEMPLATE, Kind.CALLABLE)

FLAT_ID = "agent"
"""The id of the only agent of a file without `agents`, unless it has an agent_name."""


class Facts(Struct, frozen=True, kw_only=True):
    """What defaults depend on. `memory_limited`: this process runs in a cgroup with a memory limit."""

    dev: bool
    variables: Mapping[str, str]
    memory_limited: bool = False


class Resolved(Struct, frozen=True, kw_only=True):
    """`host` holds the host's keys and `drain_timeout`; `agents` id → agent, complete. `flat`: there is no `agents`."""

    host: Node
    agents: Mapping[str, Node]
    flat: bool


def resolve(root: Node, facts: Facts) -> Resolved:
    """Merge the top-level defaults into each agent and fill in what is left."""
    flat = "agents" not in root.entries
    host = {key: child for key, child in root.entries.items() if key in HOST_KEYS or key == "drain_timeout"}
    agents = _flat_agent(root) if flat else _agents(root)
    if flat:
        _move_custom_load(host, agents)
    host_spec = {key: spec for key, spec in FILE.children.items() if key in host or key in HOST_KEYS}
    host_spec["drain_timeout"] = AGENT.children["drain_timeout"]
    del host_spec["agents"]
    completed = _complete_children(replace(root, value=host), host_spec, facts)
    return Resolved(
        host=_fill_host(completed, facts),
        agents={name: _fill_agent(name, node, facts, flat=flat) for name, node in agents.items()},
        flat=flat,
    )


def _flat_agent(root: Node) -> dict[str, Node]:
    own = {key: child for key, child in root.entries.items() if key in AGENT_KEYS and key not in HOST_KEYS}
    name = own["agent_name"].value if "agent_name" in own else None
    return {str(name or FLAT_ID): replace(root, value=own)}


def _agents(root: Node) -> dict[str, Node]:
    defaults = {
        key: child
        for key, child in root.entries.items()
        if key in AGENT_KEYS and key not in HOST_KEYS and key not in NOT_A_DEFAULT
    }
    return {name: _inherit(agent, defaults) for name, agent in root.entries["agents"].entries.items()}


def _inherit(agent: Node, defaults: Mapping[str, Node]) -> Node:
    entries = dict(defaults)
    for key, child in agent.entries.items():
        by_key = key in MERGED_BY_KEY and key in defaults
        entries[key] = _merge_one_level(defaults[key], child) if by_key else child
    return replace(agent, value=entries)


def _merge_one_level(base: Node, over: Node) -> Node:
    if not (base.entries and over.entries):
        return over if over.value is None or over.entries else base
    return replace(over, value={**base.entries, **over.entries})


def _move_custom_load(host: dict[str, Node], agents: dict[str, Node]) -> None:
    """In a file of one agent `load.custom` is written at the top, but its function belongs to the agent's code."""
    load = host.get("load")
    custom = load.entries.get("custom") if load else None
    if load is None or custom is None:
        return
    host["load"] = replace(load, value={key: child for key, child in load.entries.items() if key != "custom"})
    for name, agent in agents.items():
        own = replace(load, value={"custom": custom})
        agents[name] = replace(agent, value={**agent.entries, "load": own})


def _complete(node: Node | None, spec: Spec, facts: Facts) -> Node | None:
    """`node` with defaults for whatever is null or missing in it; None where there is nothing by default."""
    kind = spec.field.kind
    if kind is Kind.SECTION:
        optional = any(child.field.required for child in spec.children.values())
        if node is None or node.value is None:
            if optional:
                return None
            node = Node(value={}, key=node.key if node else None, origin=BUILT_IN)
        if spec.field.path == "load":
            return _complete_load(node, spec, facts)
        return _complete_children(node, spec.children, facts)
    if node is None or node.value is None or (node.opaque and kind not in _TEXTS):
        default = spec.field.default
        if facts.dev and spec.field.dev_default is not UNSET:
            default = spec.field.dev_default
        if default is None and node is not None and node.opaque and kind is Kind.CHOICE:
            return node  # it is written, and what it is shows elsewhere
        return None if default is None else default_node(default)
    if kind is Kind.LIST and (item := spec.child(0)):
        return replace(node, value=tuple(_complete(child, item, facts) or child for child in node.items))
    if kind is Kind.TEXT_MAP:
        return replace(node, value={key: child for key, child in node.entries.items() if child.value is not None})
    return node


def _complete_children(node: Node, specs: Mapping[str, Spec], facts: Facts) -> Node:
    entries = {}
    for key, spec in specs.items():
        child = _complete(node.entries.get(key), spec, facts)
        if child is not None:
            entries[key] = child
    return replace(node, value=entries)


def _complete_load(node: Node, spec: Spec, facts: Facts) -> Node:
    custom = _complete(node.entries.get("custom"), spec.children["custom"], facts)
    known = {key: child for key, child in node.entries.items() if not child.opaque}
    written = {key: child for key, child in known.items() if key != "custom" and child.value is not None}
    return replace(node, value=written | ({"custom": custom} if custom else {}))


def default_node(value: object) -> Node:
    """A node for a value that nobody wrote."""
    if isinstance(value, Mapping):
        return Node(value={str(key): default_node(child) for key, child in value.items()}, origin=BUILT_IN)
    if isinstance(value, (tuple, list)):
        return Node(value=tuple(default_node(child) for child in value), origin=BUILT_IN)
    scalar: Scalar = value if isinstance(value, (bool, int, float, str)) else None
    return Node(value=scalar, text=write_scalar(scalar), origin=BUILT_IN)


def _fill_host(host: Node, facts: Facts) -> Node:
    entries = dict(host.entries)
    livekit = dict(entries["livekit"].entries)
    for key, names in _FROM_VARIABLES.items():
        if key not in livekit and (found := _from_variable(names, facts)):
            livekit[key] = found
    if (
        "proxy" not in livekit
        and _is_proxied(livekit.get("url"), facts)
        and (found := _from_variable(VARIABLES, facts))
    ):
        livekit["proxy"] = found
    entries["livekit"] = replace(entries["livekit"], value=livekit)
    if entries["load"].origin == BUILT_IN and not facts.dev:
        limits = {"cpu": "70%", "memory": "85%"} if facts.memory_limited else {"cpu": "70%"}
        entries["load"] = default_node(limits)
    return replace(host, value=entries)


_FROM_VARIABLES = {
    "url": ("LIVEKIT_URL",),
    "api_key": ("LIVEKIT_API_KEY",),
    "api_secret": ("LIVEKIT_API_SECRET",),
}


def _is_proxied(url: Node | None, facts: Facts) -> bool:
    """Whether the environment's proxy is for the server, as far as it is known."""
    if url is None or url.opaque:
        return url is not None
    return bool(url.value) and not goes_direct(str(url.value), facts.variables)


def _from_variable(names: tuple[str, ...], facts: Facts) -> Node | None:
    for name in names:
        value = facts.variables.get(name)
        if value:
            origin = Origin(kind=OriginKind.ENVIRONMENT, name=name)
            return Node(value=value, span=NOWHERE, text="", quoted=True, origin=origin, references=(name,))
    return None


def _fill_agent(name: str, agent: Node, facts: Facts, *, flat: bool) -> Node:
    given = dict(agent.entries)
    if given.get("agent_name") is None or given["agent_name"].value is None:
        given["agent_name"] = default_node("" if flat else name)
    idle = given.get("num_idle_processes")
    method = given.get("start_method")
    if facts.dev and method is not None and method.value == "spawn" and (idle is None or idle.value is None):
        # A spawned process costs a second or more: under dev one is kept, so that the first call is quick too.
        given["num_idle_processes"] = default_node(1)
    completed = _complete_children(replace(agent, value=given), AGENT.children, facts)
    entries = dict(completed.entries)
    if "imports" not in entries:
        shared = find(completed, ("prewarm", "shared"))
        entries["imports"] = default_node("shared" if shared is not None and shared.value is True else "own")
    if "unique_per_room" not in entries:
        everybody = entries["agent_name"].value == "" and entries["type"].value == "room"
        entries["unique_per_room"] = default_node(everybody)
    return replace(completed, value=entries)
