"""Resolved nodes → the frozen values of `model`. Pure; the values were checked before."""

from collections.abc import Mapping
from datetime import UTC, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from agenthost.config.conditions import ALWAYS, Condition, parse_condition
from agenthost.config.convert import convert
from agenthost.config.fields import Spec
from agenthost.config.host_fields import FILE
from agenthost.config.masking import open_data, withheld
from agenthost.config.model import (
    AcceptTemplate,
    Action,
    AgentConfig,
    Config,
    CustomLoad,
    Expectation,
    HttpConfig,
    Imports,
    Limits,
    LiveKitConfig,
    LoadLimits,
    LogConfig,
    Permissions,
    Place,
    Prewarm,
    Recovery,
    ReloadConfig,
    RequestExample,
    Requests,
    Restart,
    RuleConfig,
    SessionHost,
    StartMethod,
)
from agenthost.config.nodes import BUILT_IN, Node, data, dotted, find, walk
from agenthost.config.resolve import AGENT, Resolved
from agenthost.config.scalars import write_flow
from agenthost.jobs import JobType
from agenthost.kernel import without_pair

Values = Mapping[str, Any]


def build(
    resolved: Resolved, *, file: Path, shown: str, environment: Mapping[str, str], watched: tuple[Path, ...]
) -> Config:
    """The whole file as values.

    `shown` is what places call the file; `environment` is what jobs start from; `watched` the files that were read.
    """
    spec = Spec(field=FILE.field, children=_host_specs())
    host = convert(resolved.host, spec)
    folder = file.parent
    return Config(
        file=file,
        folder=folder,
        version=host["version"],
        livekit=_livekit(host["livekit"]),
        log=LogConfig(
            level=host["log_level"],
            levels=host["log_levels"],
            format=host["log_format"]["format"],
            rename=host["log_format"]["rename"],
        ),
        http=_http(host["http"]["listen"]),
        control_socket=host["control"]["socket"],
        control_disabled=_is_none(resolved.host, "control", "socket"),
        preload=host["preload"],
        timezone=_timezone(host["timezone"]),
        reload=_reload(host["reload"]),
        load=_load(host["load"]),
        drain_timeout=host["drain_timeout"],
        agents=tuple(
            replace(agent, written=agent.written | _written_for_all(resolved))
            for name, node in resolved.agents.items()
            for agent in (_agent(name, node, shown, folder),)
        ),
        examples=_examples(resolved.host, shown),
        environment=_for_jobs(environment, resolved.host),
        watched_files=watched,
        withheld=withheld(resolved.host, spec),
    )


def _for_jobs(environment: Mapping[str, str], host: Node) -> dict[str, str]:
    """The environment without the variables, whatever their names, that `livekit.api_key` and `api_secret` are from."""
    pair = [find(host, ("livekit", key)) for key in ("api_key", "api_secret")]
    taken = {name for node in pair if node is not None for name in node.references}
    return {name: value for name, value in without_pair(environment).items() if name not in taken}


def _written_for_all(resolved: Resolved) -> frozenset[str]:
    """In a file of one agent the host's `load` is also what somebody wrote for that agent."""
    load = resolved.host.entries["load"]
    return frozenset({"load"}) if resolved.flat and load.origin != BUILT_IN else frozenset()


def _host_specs() -> dict[str, Spec]:
    specs = {key: spec for key, spec in FILE.children.items() if key not in ("agents", "profiles")}
    return specs | {"drain_timeout": AGENT.children["drain_timeout"]}


def _agent(name: str, node: Node, file: str, folder: Path) -> AgentConfig:
    values = convert(node, AGENT_ITEM)
    job_type = JobType(values["type"])
    return AgentConfig(
        id=name,
        agent_name=values["agent_name"],
        type=job_type,
        deployment=values["deployment"],
        register=values["register"],
        entrypoint=values["entrypoint"],
        prewarm=Prewarm(**values["prewarm"]) if values["prewarm"] else None,
        session_end=values["session_end"],
        env=without_pair(values["env"]),
        working_dir=folder / values["working_dir"],
        arguments=tuple(values["arguments"]),
        start_method=StartMethod(values["start_method"]),
        imports=Imports(values["imports"]),
        unique_per_room=values["unique_per_room"],
        session_host=SessionHost(values["session_host"]),
        permissions=Permissions(**values["permissions"]),
        requests=_requests(values["requests"], node, job_type, file),
        load=_load(values["load"]),
        num_idle_processes=values["num_idle_processes"],
        limits=Limits(**values["limits"]),
        restart=_restart(values["restart"]),
        recovery=Recovery(**values["recovery"]),
        drain_timeout=values["drain_timeout"],
        log_level=values["log_level"],
        settings=values["settings"],
        place=place_of(node, file),
        written=frozenset(dotted(path) for path, child in walk(node) if path and child.origin != BUILT_IN),
        withheld=withheld(node, AGENT_ITEM),
    )


AGENT_ITEM = Spec(field=FILE.field, children=AGENT.children)


def place_of(node: Node, file: str) -> Place:
    """Where a node was written."""
    span = node.place
    return Place(file=file, line=span.line, column=span.column)


def _timezone(name: str) -> tzinfo:
    """Loaded once, here: an offer needs no file then. UTC is there also on machines without time zone data.

    Empty is a value that is not known here (`validate --no-secrets`).
    """
    return UTC if name in ("UTC", "") else ZoneInfo(name)


def _livekit(values: Values) -> LiveKitConfig:
    return LiveKitConfig(
        url=values["url"] or "",
        api_key=values["api_key"] or "",
        api_secret=values["api_secret"] or "",
        proxy=values["proxy"],
        secret_in_jobs=values["secret_in_jobs"],
        job_grants=values["job_grants"],
    )


def _http(listen: str | None) -> HttpConfig:
    if not listen:  # none, or not known on this machine
        return HttpConfig(host=None, port=0)
    host, _, port = listen.rpartition(":")
    return HttpConfig(host=host.strip("[]"), port=int(port))


def _is_none(host: Node, *path: str) -> bool:
    node = find(host, path)
    return node is not None and node.value == "none"


def _reload(values: Values) -> ReloadConfig:
    return ReloadConfig(
        watch=values["watch"],
        paths=values["paths"],
        debounce=values["debounce"],
        rejoin=values["running_jobs"] == "rejoin",
    )


def _load(values: Values) -> LoadLimits:
    custom = values["custom"]
    return LoadLimits(
        max_jobs=values["max_jobs"],
        cpu=values["cpu"],
        memory=values["memory"],
        custom=CustomLoad(**custom) if custom else None,
    )


def _restart(values: Values) -> Restart:
    on_failure = values["policy"] == "on-failure"
    return Restart(on_failure=on_failure, attempts=values["attempts"], backoff=values["backoff"])


def _requests(values: Values, agent: Node, job_type: JobType, file: str) -> Requests:
    rules = find(agent, ("requests", "rules"))
    nodes = rules.items if rules else ()
    return Requests(
        accept=AcceptTemplate(**values["accept"]),
        rules=tuple(_rule(rule, node, job_type, file) for rule, node in zip(values["rules"] or (), nodes, strict=True)),
        otherwise=Action(values["otherwise"]),
        handler=values["handler"],
    )


def _rule(values: Values, node: Node, job_type: JobType, file: str) -> RuleConfig:
    return RuleConfig(
        name=values["name"],
        when=_condition(node.entries.get("when"), job_type),
        action=Action(values["action"] or "accept"),
        agent=values["agent"],
        accept=AcceptTemplate(**values["accept"]),
        permissions={key: value for key, value in values["permissions"].items() if value is not None},
        place=place_of(node, file),
        text=_text(node),
    )


def _text(rule: Node) -> str:
    entries = {key: child for key, child in rule.entries.items() if key != "name" and child.origin != BUILT_IN}
    return write_flow(open_data(replace(rule, value=entries)))


def _condition(when: Node | None, job_type: JobType) -> Condition:
    if when is None or not when.entries:
        return ALWAYS
    condition, _ = parse_condition(data(when), (), job_type)
    return condition


def _examples(host: Node, file: str) -> tuple[RequestExample, ...]:
    tests = host.entries.get("tests")
    spec = FILE.children["tests"].child(0)
    if tests is None or spec is None:
        return ()
    examples = []
    for node in tests.items:
        values = convert(node, spec)
        expect = dict(values["expect"])
        permissions = {key: value for key, value in expect.pop("permissions").items() if value is not None}
        action = expect.pop("action")
        examples.append(
            RequestExample(
                name=values["name"],
                agent=values["agent"],
                request=_plain_mapping(node.entries["request"]),
                at=values["at"],
                expect=Expectation(**expect, action=Action(action) if action else None, permissions=permissions),
                place=place_of(node, file),
            )
        )
    return tuple(examples)


def _plain_mapping(node: Node) -> dict[str, Any]:
    """A test's request stays JSON-like: its metadata is turned into JSON text later."""
    return {key: data(child) for key, child in node.entries.items()}
