"""Complete values for unit tests, with only what a test is about written in the test."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from agenthost.config.conditions import Condition, parse_condition
from agenthost.config.model import (
    AcceptTemplate,
    Action,
    AgentConfig,
    Expectation,
    Imports,
    Limits,
    LoadLimits,
    Permissions,
    Place,
    Recovery,
    RequestExample,
    Requests,
    Restart,
    RuleConfig,
    SessionHost,
    StartMethod,
)
from agenthost.jobs import JobType, Offer, ParticipantInfo, RoomInfo
from agenthost.offer_values import Facts

MONDAY_NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
CREATED_AT = MONDAY_NOON.timestamp() - 600

EVERYTHING = Permissions(
    can_publish=True,
    can_subscribe=True,
    can_publish_data=True,
    can_update_metadata=True,
    hidden=False,
    can_subscribe_metrics=True,
    can_publish_sources=None,
)

_LIMITS = Limits(
    init=10.0,
    connect=10.0,
    unresponsive=60.0,
    shutdown=10.0,
    session_end=300.0,
    memory_warn=10**9,
    memory=None,
    max_duration=None,
    empty_room=None,
    open_files=None,
)


def make_agent(id: str = "front", *, requests: Requests | None = None, **changes: Any) -> AgentConfig:
    """An agent for automatic dispatch that may do everything and accepts every offer."""
    agent = AgentConfig(
        id=id,
        agent_name="",
        type=JobType.ROOM,
        deployment="",
        register=True,
        entrypoint="app:entrypoint",
        prewarm=None,
        session_end=None,
        env={},
        working_dir=Path("."),
        arguments=("start",),
        start_method=StartMethod.AUTO,
        imports=Imports.OWN,
        unique_per_room=True,
        session_host=SessionHost.OFF,
        permissions=EVERYTHING,
        requests=requests or make_requests(),
        load=LoadLimits(),
        num_idle_processes=0,
        limits=_LIMITS,
        restart=Restart(on_failure=False, attempts=2, backoff=1.0),
        recovery=Recovery(enabled=False, sweep=False, attempts=2),
        drain_timeout=1800.0,
        log_level=None,
        settings={},
        place=Place(file="agenthost.yaml", line=1, column=1),
    )
    return replace(agent, **changes)


def make_requests(
    *rules: RuleConfig, otherwise: Action = Action.ACCEPT, accept: AcceptTemplate | None = None
) -> Requests:
    return Requests(accept=accept or AcceptTemplate(), rules=rules, otherwise=otherwise, handler=None)


def make_rule(
    name: str, when: Mapping[str, Any], action: Action = Action.ACCEPT, *, type: JobType = JobType.ROOM, **changes: Any
) -> RuleConfig:
    """A rule whose condition is written as in the file."""
    return RuleConfig(name=name, when=make_condition(when, type), action=action, **changes)


def make_condition(when: Mapping[str, Any], type: JobType = JobType.ROOM) -> Condition:
    condition, problems = parse_condition(when, ("when",), type)
    assert problems == []
    return condition


def make_offer(room: str | RoomInfo = "lobby", **changes: Any) -> Offer:
    """The offer of a room job; a room given by its name is ten minutes old at `MONDAY_NOON`."""
    info = room if isinstance(room, RoomInfo) else RoomInfo(name=room, created_at=CREATED_AT)
    return replace(Offer(job_id="AJ_1", type=JobType.ROOM, room=info), **changes)


def make_participant_offer(
    identity: str = "caller",
    *,
    kind: str = "standard",
    attributes: Mapping[str, str] | None = None,
    room: str | RoomInfo = "lobby",
    **changes: Any,
) -> Offer:
    """The offer of a participant job."""
    participant = ParticipantInfo(identity=identity, kind=kind, attributes=attributes or {})
    return make_offer(room, type=JobType.PARTICIPANT, participant=participant, **changes)


def make_facts(now: datetime = MONDAY_NOON, agent_jobs: int = 0) -> Facts:
    return Facts(now=now, agent_jobs=agent_jobs)


def make_example(
    *, agent: str | None = None, rule: str | None = None, expected_agent: str | None = None, **expected: Any
) -> RequestExample:
    """A test with an empty request; `expected` are further keys of its `expect`."""
    nothing = dict.fromkeys(("action", "reason", "identity", "name", "metadata", "attributes"))
    expect = Expectation(**{**nothing, "permissions": {}, **expected}, rule=rule, agent=expected_agent)
    place = Place(file="agenthost.yaml", line=1, column=1)
    return RequestExample(name="example", agent=agent, request={}, at=None, expect=expect, place=place)
