"""What the difference of two plans means for a running host: the classes of the field table, applied."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agenthost.changes import AgentChange, PlanChange, diff
from agenthost.config.examination import Options
from agenthost.config.loading import examine_text, loaded
from agenthost.plan import Plan, plan

FILE = "agent_name: a\nentrypoint: module:entrypoint\n"
ENVIRON = {"LIVEKIT_URL": "ws://one", "LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "a secret of some length"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a module that has everything the files below name."""
    path = tmp_path_factory.mktemp("changes")
    (path / "module.py").write_text(
        "async def entrypoint(ctx): ...\nasync def other(ctx): ...\nasync def handler(req): ...\ndef load(): ...\n"
    )
    return path


def make(folder: Path, text: str, code: dict[str, str] | None = None, **environ: str) -> Plan:
    """The plan of a file with this text."""
    options = Options(environ=ENVIRON | environ, command="start")
    return plan(loaded(examine_text(text, folder / "agenthost.yaml", options)).config, code or {})


def only(change: PlanChange) -> AgentChange:
    """The one agent of the files below."""
    [agent] = change.agents
    return agent


@pytest.mark.parametrize(
    ("line", "kind", "reasons"),
    [
        ("num_idle_processes: 3", "live", ("num_idle_processes",)),
        ("requests: { otherwise: reject }", "live", ("requests.otherwise",)),
        ("requests: { rules: [{ name: r, when: { room.name: x }, action: reject }] }", "live", ("requests.rules.r",)),
        (
            "permissions: { hidden: true, can_publish: false }",
            "live",
            ("permissions.can_publish", "permissions.hidden"),
        ),
        ("limits: { max_duration: 3h }", "live", ("limits.max_duration",)),
        ("settings: { voice: alba }", "live", ("settings.voice",)),
        ("env: { A: b }", "new generation", ("env.A",)),
        ("requests: { handler: module:handler }", "new generation", ("requests.handler",)),
        ("preload: [json]", "new generation", ("preload",)),
        ("type: publisher", "new registration", ("type",)),
        ("deployment: blue", "new registration", ("deployment",)),
    ],
)
def test_key_changes_what_the_field_table_says(folder: Path, line: str, kind: str, reasons: tuple[str, ...]) -> None:
    """L, R and G of the reference page, key by key, with the path as the reason."""
    change = only(diff(make(folder, FILE), make(folder, f"{FILE}{line}\n")))
    assert kind in change.kinds
    assert set(reasons) <= set(change.reasons)


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("load: { max_jobs: 3, cpu: 70% }", "load.max_jobs"),
        ("log_level: DEBUG", "log_level"),
        ("http: { listen: none }", "http.listen"),
        ("timezone: Europe/Berlin", "timezone"),
    ],
)
def test_host_key_touches_no_agent(folder: Path, line: str, key: str) -> None:
    """It is the host's own, and live."""
    change = diff(make(folder, FILE), make(folder, f"{FILE}{line}\n"))
    assert change.host == (key,)
    assert only(change).kinds == ("kept",)


def test_other_server_is_a_new_registration_and_new_code(folder: Path) -> None:
    """The agents register there, and what they find in LIVEKIT_URL is not the old one."""
    change = only(diff(make(folder, FILE), make(folder, FILE, LIVEKIT_URL="ws://two")))
    assert change.registration == ("livekit.url",)
    assert "livekit.url" in change.generation


def test_other_key_pair_concerns_code_only_where_jobs_see_it(folder: Path) -> None:
    """Without secret_in_jobs the pair is the host's own business."""
    old, new = make(folder, FILE), make(folder, FILE, LIVEKIT_API_SECRET="another secret, also of some length")
    assert only(diff(old, new)).kinds == ("new registration",)
    shown = f"{FILE}livekit: {{ secret_in_jobs: true }}\n"
    old, new = make(folder, shown), make(folder, shown, LIVEKIT_API_SECRET="another secret, also of some length")
    assert "new generation" in only(diff(old, new)).kinds


def test_preload_changes_the_base(folder: Path) -> None:
    """And so everything on top of it."""
    change = diff(make(folder, FILE), make(folder, f"{FILE}preload: [json]\n"))
    assert change.base == ("preload",)


def test_changed_code_is_a_new_generation(folder: Path) -> None:
    """Equal files, other fingerprints."""
    change = only(diff(make(folder, FILE, {"a": "1"}), make(folder, FILE, {"a": "2"})))
    assert (change.kinds, change.generation) == (("new generation",), ("code",))


def test_comments_and_positions_change_nothing(folder: Path) -> None:
    """Moving a rule down a line is no edit."""
    rule = "requests: { rules: [{ name: r, when: { room.name: x }, action: reject }] }\n"
    assert diff(make(folder, FILE + rule), make(folder, f"# a comment\n\n{FILE}\n{rule}")).nothing


@pytest.mark.parametrize(
    ("old", "new", "successors"),
    [
        ("a: module:entrypoint", "b: module:entrypoint", {"a": "b"}),
        ("a: module:entrypoint", "b: module:other", {"a": ""}),
        ("a: module:entrypoint", "b: { agent_name: a, entrypoint: module:other }", {"a": "b"}),
        ("a: module:entrypoint", "b: { type: publisher, entrypoint: module:entrypoint }", {"a": ""}),
        ("a: module:entrypoint", "b: { register: false, entrypoint: module:entrypoint }", {"a": ""}),
        (
            "a: module:entrypoint\n  b: module:entrypoint",
            "c: module:entrypoint\n  d: { agent_name: a, entrypoint: module:entrypoint }",
            {"a": "d", "b": "c"},
        ),
    ],
    ids=["renamed", "other code", "same name", "other type", "not registered", "both renamed"],
)
def test_agent_under_another_id_goes_on_for_the_old_one(
    folder: Path, old: str, new: str, successors: dict[str, str]
) -> None:
    """One that registers alike before one that runs the same code; each for one other."""
    header = "requests: { accept: { identity: 'x-{job.id}' } }\nagents:\n  "
    change = diff(make(folder, f"{header}{old}\n"), make(folder, f"{header}{new}\n"))
    assert {one.agent: one.successor for one in change.agents if one.removed} == successors


NAMES = st.lists(st.sampled_from(["a", "b", "c", "d"]), unique=True, min_size=1)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(old=NAMES, new=NAMES)
def test_every_agent_of_both_plans_is_named_once(folder: Path, old: list[str], new: list[str]) -> None:
    """Added, removed and kept are a partition; a plan does not differ from itself."""

    def several(names: list[str]) -> Plan:
        agents = "".join(f"  {name}: module:entrypoint\n" for name in names)
        return make(folder, f"agents:\n{agents}")

    before, after = several(old), several(new)
    assert diff(before, before).nothing
    change = diff(before, after)
    assert sorted(one.agent for one in change.agents) == sorted({*old, *new})
    assert {one.agent for one in change.agents if one.added} == {*new} - {*old}
    assert {one.agent for one in change.agents if one.removed} == {*old} - {*new}
