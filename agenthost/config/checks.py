"""What a schema cannot say: how the values of one file fit together. Pure, but for the folder that is looked for.

`check_placement` works on the file as written; the others on the resolved one, and report at the place where the
value was written, which for a default of all agents is the top of the file.
"""

import re
from collections.abc import Sequence

from agenthost.config.accept_templates import check_accept
from agenthost.config.collector import Collector, rename, rewrite
from agenthost.config.conditions import parse_condition
from agenthost.config.example_checks import check_example
from agenthost.config.findings import Related
from agenthost.config.host_fields import NOT_A_DEFAULT
from agenthost.config.model import Config
from agenthost.config.nodes import Keys, Node, data, find, nearest, walk
from agenthost.config.problems import Problem
from agenthost.config.resolve import Resolved
from agenthost.config.rule_checks import check_rules
from agenthost.config.utf8_checks import check_utf8
from agenthost.jobs import JobType

_RESERVED_VARIABLES = ("PYTHON", "LD_", "OPENBLAS_", "TOKIO_", "MALLOC_")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_ID = re.compile(r"[^\s{}\x00-\x1f]{1,128}")
_MAX_DEPLOYMENT_BYTES = 64
_TEXTS_HERE = frozenset({"True", "TRUE", "False", "FALSE", "Null", "NULL"})


def check_placement(root: Node, findings: Collector) -> None:
    """Keys that may stand in an agent, or at the top of a file of one agent, but not beside `agents`."""
    agents = root.entries.get("agents")
    if agents is None:
        return
    for key in NOT_A_DEFAULT:
        node = root.entries.get(key)
        if node is not None:
            message = f"`{key}` cannot stand beside `agents`: it is no default that agents could share"
            findings.about("AH104", message, node, at_key=True, hint="move it into an agent")
    load = root.entries.get("load")
    custom = load.entries.get("custom") if load else None
    if custom is not None:
        message = "`load.custom` belongs to one agent, whose code it is"
        findings.about("AH104", message, custom, at_key=True, hint="move it into the agent's own `load`")
    if agents.value is None or agents.value == {}:
        findings.about("AH202", "`agents` is empty", agents, at_key=True, hint="add `name: module:entrypoint` below it")


def check_agents(resolved: Resolved, findings: Collector) -> None:
    """Each agent by itself, then all against each other."""
    for name, agent in resolved.agents.items():
        _check_id(name, agent, resolved, findings)
        _check_entrypoint(name, agent, resolved, findings)
        _check_registration(agent, findings)
        _check_env(agent, findings)
        _check_room_only(name, agent, findings)
        _check_permissions(agent, findings)
        _check_pool(name, agent, resolved, findings)
        _check_imports(agent, findings)
        _check_requests(agent, findings)
        _check_words([agent], ("settings",), findings)
        _check_words(_items(agent, ("requests", "rules")), ("when",), findings)
    _check_words(_items(resolved.host, ("tests",)), ("request",), findings)
    _check_unique_registrations(resolved, findings)
    _check_tests(resolved, findings)


def check_built(resolved: Resolved, config: Config, findings: Collector) -> None:
    """Rules and tests against the agents they name; needs every condition to be understood."""
    agents = {agent.id: agent for agent in config.agents}
    for name, agent in resolved.agents.items():
        for problem in check_rules(agents[name], agents, ("requests",)):
            report_problem(problem, agent, findings)
    for index, example in enumerate(config.examples):
        if example.agent is not None and example.agent not in agents:
            continue  # taken from a variable that is not known on this machine
        for problem in check_example(example, agents, ("tests", index)):
            report_problem(problem, resolved.host, findings)


def report_problem(problem: Problem, root: Node, findings: Collector) -> None:
    """Report a problem whose path starts at `root`: the node of an agent, or of the whole file."""
    node = nearest(root, problem.path)
    fix = None
    if problem.fix is not None and not node.references:
        fix = rename(node, problem.fix) if problem.at_key else rewrite(node, problem.fix)
    related = []
    if problem.related is not None:
        place = nearest(root, problem.related).place
        related.append(
            Related(line=place.line, column=place.column, end_column=place.end_column, message=problem.related_message)
        )
    findings.about(
        problem.code,
        problem.message,
        node,
        at_key=problem.at_key,
        severity=problem.severity,
        hint=problem.hint,
        fix=fix,
        related=related,
    )


def _check_id(name: str, agent: Node, resolved: Resolved, findings: Collector) -> None:
    if not resolved.flat and not _ID.fullmatch(name):
        hint = "use letters, digits and `-`"
        findings.about("AH113", f"`{name}` is no agent id: no blanks and no braces", agent, at_key=True, hint=hint)


def _check_entrypoint(name: str, agent: Node, resolved: Resolved, findings: Collector) -> None:
    if "entrypoint" in agent.entries or _only_routes(agent):
        return
    if resolved.flat:
        hint = "add `entrypoint: my_agent:entrypoint`"
        findings.report("AH201", "the file names no code: `entrypoint` is missing", hint=hint)
    else:
        findings.about(
            "AH201",
            f"agent `{name}` has no `entrypoint`",
            agent,
            at_key=True,
            hint="add `entrypoint: module:attribute`",
        )


def _only_routes(agent: Node) -> bool:
    """Whether every way to accept a request names another agent, so that own code is never needed."""
    requests = agent.entries["requests"]
    rules = requests.entries["rules"].items if "rules" in requests.entries else ()
    if not rules or requests.entries["otherwise"].value == "accept":
        return False
    return all("agent" in rule.entries or _value(rule, "action") in ("reject", "terminate") for rule in rules)


def _check_registration(agent: Node, findings: Collector) -> None:
    check_utf8(agent.entries["agent_name"], ("agent_name",), findings)
    deployment = agent.entries["deployment"]
    text = str(deployment.value)
    if not check_utf8(deployment, ("deployment",), findings):
        return
    if len(text.encode()) > _MAX_DEPLOYMENT_BYTES or "_" in text or any(character.isspace() for character in text):
        message = f"a deployment has at most {_MAX_DEPLOYMENT_BYTES} bytes, no `_` and no blanks"
        findings.about("AH113", message, deployment, hint="use letters, digits and `-`")


def _check_env(agent: Node, findings: Collector) -> None:
    for name, node in agent.entries["env"].entries.items():
        if not _VARIABLE.fullmatch(name):
            findings.about(
                "AH216",
                f"`{name}` is no name of an environment variable",
                node,
                at_key=True,
                hint="letters, digits and `_`",
            )
        elif name.startswith(_RESERVED_VARIABLES):
            message = f"`{name}` has no effect in `env`: the process it would change has started before"
            findings.about("AH216", message, node, at_key=True, hint="set it for agenthost itself")
        elif name.startswith("LIVEKIT_API_"):
            message = f"jobs never see `{name}`"
            findings.warn(
                "AH218", message, node, at_key=True, hint="use `ctx.api`, or set `livekit.secret_in_jobs: true`"
            )


def _check_room_only(name: str, agent: Node, findings: Collector) -> None:
    if agent.entries["type"].value == "room":
        return
    job_type = agent.entries["type"].value
    for key, switch, off in (("restart", "policy", "never"), ("recovery", "enabled", False)):
        section = agent.entries[key]
        chosen = section.entries[switch]
        if chosen.value != off:
            message = f"`{key}` works for `type: room` only, and agent `{name}` is of `type: {job_type}`"
            written = "never" if off == "never" else "false"
            findings.about("AH215", message, section, at_key=True, hint=f"write `{key}: {written}` in that agent")


def _check_permissions(agent: Node, findings: Collector) -> None:
    permissions = agent.entries["permissions"].entries
    if permissions["hidden"].value is True and permissions["can_publish"].value is True:
        message = "a hidden agent cannot publish: the server refuses its tracks"
        findings.warn("AH214", message, permissions["hidden"], hint="write `can_publish: false` beside it")


def _check_pool(name: str, agent: Node, resolved: Resolved, findings: Collector) -> None:
    idle = agent.entries["num_idle_processes"]
    limits = (find(agent, ("load", "max_jobs")), find(resolved.host, ("load", "max_jobs")))
    numbers = [node.value for node in limits if node is not None and isinstance(node.value, int)]
    if numbers and isinstance(idle.value, int) and idle.value > min(numbers):
        message = f"{idle.value} idle processes for at most {min(numbers)} jobs: some can never be used"
        findings.warn("AH221", message, idle, hint=f"write `{min(numbers)}`")


def _check_imports(agent: Node, findings: Collector) -> None:
    shared = find(agent, ("prewarm", "shared"))
    if shared is not None and shared.value is True and agent.entries["imports"].value == "own":
        message = "a shared prewarm needs `imports: shared`: what it makes is of classes that are imported once"
        findings.about("AH226", message, agent.entries["imports"], hint="remove `imports`, or `shared` of prewarm")


def _check_requests(agent: Node, findings: Collector) -> None:
    job_type = JobType(agent.entries["type"].value)
    requests = agent.entries["requests"]
    problems: list[Problem] = []
    accept = requests.entries["accept"]
    problems += check_accept(_plain(accept), ("requests", "accept"), job_type)
    rules = requests.entries["rules"].items if "rules" in requests.entries else ()
    for index, rule in enumerate(rules):
        path: Keys = ("requests", "rules", index)
        when = rule.entries.get("when")
        if when is not None:
            problems += parse_condition(data(when), (*path, "when"), job_type)[1]
        problems += check_accept(_plain(rule.entries["accept"]), (*path, "accept"), job_type)
        if "action" not in rule.entries and "agent" not in rule.entries:
            message = f"rule `{_value(rule, 'name')}` does not say what to do"
            hint = "add `action: accept`, `reject` or `terminate`, or `agent: ID`"
            problems.append(Problem(path=path, code="AH114", message=message, hint=hint))
    for problem in problems:
        report_problem(problem, agent, findings)


def _check_words(holders: Sequence[Node], path: Keys, findings: Collector) -> None:
    """Words that other readers of YAML take for booleans or null, where any value is fine and no schema notices."""
    for free in filter(None, (find(holder, path) for holder in holders)):
        for _, node in walk(free):
            if node.is_scalar and not node.quoted and node.text in _TEXTS_HERE:
                hint = f'write `{node.text.lower()}`, or "{node.text}"'
                findings.warn("AH125", f"`{node.text}` is a text here", node, hint=hint)


def _items(node: Node, path: Keys) -> tuple[Node, ...]:
    """The items of the list at `path`; none where there is no list."""
    found = find(node, path)
    return found.items if found else ()


def _plain(node: Node) -> dict[str, object]:
    return {key: data(child) for key, child in node.entries.items() if not child.opaque}


def _check_unique_registrations(resolved: Resolved, findings: Collector) -> None:
    first: dict[tuple[object, ...], tuple[str, Node]] = {}
    for name, agent in resolved.agents.items():
        if agent.entries["register"].value is not True:
            continue
        key = tuple(agent.entries[part].value for part in ("agent_name", "type", "deployment"))
        if key in first:
            other, node = first[key]
            what = f"agent_name `{key[0]}`" if key[0] else "automatic dispatch (no agent_name)"
            message = f"agents `{other}` and `{name}` would register as the same: {what}, type {key[1]}"
            place = node.place
            related = Related(
                line=place.line, column=place.column, end_column=place.end_column, message="the other one"
            )
            hint = "give one another agent_name or deployment, or `register: false`"
            findings.about("AH203", message, agent, at_key=True, hint=hint, related=(related,))
        else:
            first[key] = (name, agent)


def _check_tests(resolved: Resolved, findings: Collector) -> None:
    tests = resolved.host.entries.get("tests")
    names = ", ".join(f"`{name}`" for name in resolved.agents)
    for test in tests.items if tests else ():
        agent = test.entries.get("agent")
        if agent is None and len(resolved.agents) > 1:
            message = f"test `{_value(test, 'name')}` does not say which agent gets the request"
            findings.about("AH223", message, test, hint=f"add `agent: …`, one of {names}")
        elif agent is not None and agent.value not in resolved.agents:
            findings.about("AH223", f"there is no agent `{agent.value}`", agent, hint=f"the file has {names}")


def _value(node: Node, key: str) -> object:
    child = node.entries.get(key)
    return child.value if child else None
