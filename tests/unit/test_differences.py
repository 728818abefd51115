"""What a reload's difference tells: values as one would write them, and never one that may be a secret."""

from pathlib import Path

import pytest

from agenthost.changes import diff
from agenthost.config.examination import Options
from agenthost.config.loading import examine_text, loaded
from agenthost.differences import NOT_TOLD, Difference
from agenthost.plan import Plan, plan

ENVIRON = {"LIVEKIT_URL": "ws://one", "LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "a secret of some length"}
FILE = "agent_name: a\nentrypoint: module:entrypoint\n"
LONG = "You answer calls for a company that sells tea. Be kind, and brief. "
RULE = "requests: { rules: [{ name: gold, when: { room.name: 'vip-*' }, action: reject }] }"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a module that has everything the files below name."""
    path = tmp_path_factory.mktemp("differences")
    (path / "module.py").write_text("async def entrypoint(ctx): ...\ndef prewarm(proc): ...\n")
    (path / "prompt.md").write_text("Be kind.")
    return path


def make(folder: Path, text: str, **environ: str) -> Plan:
    options = Options(environ=ENVIRON | environ, command="start")
    return plan(loaded(examine_text(FILE + text, folder / "agenthost.yaml", options)).config)


def told(old: Plan, new: Plan) -> list[str]:
    """All differences, the agent's own after the host's, as one reads them."""
    change = diff(old, new)
    found = (*change.differences, *(one for agent in change.agents for one in agent.differences))
    return ["".join(text for text, _ in one.parts) for one in found]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "load: { cpu: 80% }", ["load.cpu: 70% → 80%"]),
        ("load: { cpu: 70% }", "load: { max_jobs: 3 }", ["load.max_jobs: none → 3", "load.cpu: 70% → none"]),
        ("", "limits: { memory: 1GiB }", ["limits.memory: none → 1GiB"]),
        ("", "limits: { max_duration: 90m }", ["limits.max_duration: none → 1h30m"]),
        ("drain_timeout: 30m", "drain_timeout: forever", ["drain_timeout: 30m → forever"]),
        ("permissions: { can_publish_sources: [camera] }", "", ["permissions.can_publish_sources: [camera] → all"]),
        ("", "http: { listen: none }", ["http.listen: 0.0.0.0:8081 → none"]),
        ("", "control: { socket: none }", ['control.socket: "(default)" → none']),
        ("", "log_levels: { livekit: WARNING }", ["log_levels.livekit: + WARNING"]),
        ("", "reload: { watch: [config] }", ["reload.watch: [] → [config]"]),
        ("", "restart: on-failure", ["restart.policy: never → on-failure"]),
        ("", "recovery: true", ["recovery.enabled: false → true"]),
        ("", "prewarm: module:prewarm", ['prewarm: none → { callable: module:prewarm, shared: false }']),
        ("settings: { voice: alba }", "settings: { voice: nova }", ["settings.voice: alba → nova"]),
        ("settings: { voice: alba }", "settings: {}", ["settings.voice: - alba"]),
        ("settings: { a: { b: [1, x] } }", "settings: { a: { b: [1] } }", ["settings.a.b: [1, x] → [1]"]),
        ("settings: { a: '' }", "settings: { a: 'yes' }", ['settings.a: "" → "yes"']),
    ],
)  # fmt: skip
def test_values_are_told_as_one_writes_them(folder: Path, old: str, new: str, expected: list[str]) -> None:
    """Ratios, durations and sizes with their units; what came and what went; key by key in free mappings."""
    lines = told(make(folder, old + "\n"), make(folder, new + "\n"))
    # in a file of one agent the host's `load` is the agent's, too
    assert list(dict.fromkeys(lines)) == expected


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (
            RULE.replace("vip-*", "rec-*"),
            [
                'requests.rules.gold: { when: { room.name: "vip-*" }, action: reject } → '
                '{ when: { room.name: "rec-*" }, action: reject }'
            ],
        ),
        (
            RULE.replace("}] }", "}, { name: night, action: terminate, when: { time.hour: '22..24' } }] }"),
            ['requests.rules.night: + { when: { time.hour: 22..24 }, action: terminate }'],
        ),
        ("", ['requests.rules.gold: - { when: { room.name: "vip-*" }, action: reject }']),
    ],
    ids=["edited", "added", "removed"],
)  # fmt: skip
def test_rules_are_told_by_their_names(folder: Path, new: str, expected: list[str]) -> None:
    """A rule that only moved in the file, or one that is as it was, is not."""
    assert told(make(folder, RULE + "\n"), make(folder, new + "\n")) == expected


def test_order_of_rules_is_told(folder: Path) -> None:
    """The first match decides, so it matters."""
    rules = [
        "{ name: a, when: { room.name: x }, action: reject }",
        "{ name: b, when: { room.name: y }, action: reject }",
    ]
    old, new = (f"requests: {{ rules: [{', '.join(order)}] }}\n" for order in (rules, rules[::-1]))
    assert told(make(folder, old), make(folder, new)) == ["requests.rules: order: b, a"]


def test_long_texts_are_told_where_they_differ(folder: Path) -> None:
    """A prompt is a page; what was edited is a word."""
    [line] = told(
        make(folder, f"settings: {{ p: '{LONG}Old.' }}\n"), make(folder, f"settings: {{ p: '{LONG}New.' }}\n")
    )
    assert line == 'settings.p: … and brief. Old." → … and brief. New."'
    [line] = told(make(folder, ""), make(folder, f"settings: {{ p: '{LONG * 9}' }}\n"))
    assert len(line) < 120


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("settings: { openai: { api_key: CANARY } }", "settings.openai.api_key"),
        ("settings: { dsn: '${DSN}' }", "settings.dsn"),
        ("settings: { list: ['${DSN}', x] }", "settings.list"),
        ("env: { DATABASE_URL: '${DSN}' }", "env.DATABASE_URL"),
        ("env: { MODE: CANARY }", "env.MODE"),
        ("requests: { accept: { metadata: '${DSN}' } }", "requests.accept.metadata"),
        ("requests: { rules: [{ name: r, when: { room.name: '${DSN}' }, action: reject }] }", "requests.rules.r"),
        ("requests: { rules: [{ name: r, when: { job.metadata.token: CANARY }, agent: a }] }", "requests.rules.r"),
        ("livekit: { api_secret: '${DSN}' }", "livekit.api_secret"),
    ],
)  # fmt: skip
def test_what_may_be_a_secret_is_not_told(folder: Path, text: str, path: str) -> None:
    """That it changed is, under its name: neither the old nor the new value, nor anything made of them."""
    old, new = (
        make(folder, text.replace("CANARY", f"canary-{number}") + "\n", DSN=f"canary-{number}-as-long-as-a-secret-is")
        for number in (1, 2)
    )
    change = diff(old, new)
    found = (*change.differences, *change.agents[0].differences)
    assert Difference(path=path, note=NOT_TOLD) in found
    assert "canary" not in str(found)


def test_variables_are_told_by_their_names(folder: Path) -> None:
    """What jobs start from has passwords in it; numbers from a variable are settings like any other."""
    limited = "load: { max_jobs: '${SLOTS}' }\n"
    old, new = make(folder, limited, SLOTS="3", PASSWORD_OLD="canary-1"), make(folder, limited, SLOTS="4")
    assert told(old, new) == ["load.max_jobs: 3 → 4", "environment: PASSWORD_OLD, SLOTS"]


def test_address_from_a_variable_is_told(folder: Path) -> None:
    """It is no secret, and the first thing to look at after such an edit."""
    lines = told(make(folder, ""), make(folder, "", LIVEKIT_URL="wss://me:pw@two"))
    assert "livekit.url: ws://one → wss://…@two" in [line.replace('"', "") for line in lines]


def test_file_that_was_read_is_told(folder: Path) -> None:
    """A prompt in a file of its own is configuration, and the user name in a URL is none of the log's business."""
    text = "settings: { prompt: '${file:prompt.md}', url: 'https://me:pw@host/1' }\n"
    old = make(folder, text)
    (folder / "prompt.md").write_text("Be curt.")
    assert told(old, make(folder, text.replace("host/1", "host/2"))) == [
        'settings.prompt: "Be kind." → "Be curt."',
        'settings.url: "https://…@host/1" → "https://…@host/2"',
    ]
