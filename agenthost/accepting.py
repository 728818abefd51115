"""How the agent's participant appears: renders the `accept` texts of a rule for one offer. Pure; runs in the host.

Key by key, and attribute by attribute: what the rule gives, else what `requests.accept` gives, else the default.
"""

import json
from collections.abc import Mapping, Sequence

from msgspec import Struct

from agenthost.config.accept_templates import Part, Placeholder, split_template
from agenthost.config.model import AcceptTemplate, AgentConfig
from agenthost.jobs import Accept
from agenthost.offer_values import Values

DEFAULT_IDENTITY = "agent-{job.id}"


class EmptyPlaceholder(Exception):
    """A placeholder has nothing to stand for in this offer. `name` is the placeholder, without braces."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{{{name}}} is empty")
        self.name = name


class AcceptPlan(Struct, frozen=True, kw_only=True):
    """The texts in pieces. `agent_values` are those of the `agent.` placeholders, which no offer changes."""

    identity: tuple[Part, ...]
    name: tuple[Part, ...]
    metadata: tuple[Part, ...]
    attributes: Mapping[str, tuple[Part, ...]]
    agent_values: Mapping[str, str]


def plan_accept(templates: Sequence[AcceptTemplate], *, receiver: AgentConfig, target: AgentConfig) -> AcceptPlan:
    """`templates` from the strongest to the weakest. `{agent.id}` is the target's, `{agent.name}` the receiver's."""
    attributes: dict[str, str] = {}
    for template in reversed(templates):
        attributes.update(template.attributes)
    return AcceptPlan(
        identity=split_template(_first([template.identity for template in templates], DEFAULT_IDENTITY)),
        name=split_template(_first([template.name for template in templates], "")),
        metadata=split_template(_first([template.metadata for template in templates], "")),
        attributes={key: split_template(text) for key, text in attributes.items()},
        agent_values={"agent.id": target.id, "agent.name": receiver.agent_name},
    )


def render_accept(plan: AcceptPlan, values: Values) -> Accept:
    """The texts with their placeholders filled in; `EmptyPlaceholder` when one has no value."""
    return Accept(
        identity=_render(plan.identity, plan, values),
        name=_render(plan.name, plan, values),
        metadata=_render(plan.metadata, plan, values),
        attributes={key: _render(parts, plan, values) for key, parts in plan.attributes.items()},
    )


def _first(texts: Sequence[str | None], default: str) -> str:
    return next((text for text in texts if text is not None), default)


def _render(parts: tuple[Part, ...], plan: AcceptPlan, values: Values) -> str:
    return "".join(part if isinstance(part, str) else _fill(part, plan, values) for part in parts)


def _fill(placeholder: Placeholder, plan: AcceptPlan, values: Values) -> str:
    if placeholder.subject is None:
        text = plan.agent_values[placeholder.name]
    else:
        text = _as_text(values.read(placeholder.subject))
    if not text:
        raise EmptyPlaceholder(placeholder.name)
    return text


def _as_text(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
