"""`config show`: what is in force, where it came from, and no secret."""

from agenthost.config.collector import Collector
from agenthost.config.document import parse
from agenthost.config.fields import descend
from agenthost.config.host_fields import FILE
from agenthost.config.loading import Examination
from agenthost.config.nodes import data
from agenthost.config.show import rows, values
from tests.unit.config.conftest import Examine

TEXT = """
drain_timeout: 1h
env: { OPENAI: "${SECRET}", LITERAL: canary }
settings: { voice: alba, key: "${SECRET_TOKEN}", "odd key": "a: b", list: [1, { a: 2 }], empty: "" }
agents:
  one: code_of_agent:entrypoint
profiles:
  p: { num_idle_processes: 4 }
"""
ENVIRON = {"SECRET": "canary", "SECRET_TOKEN": "canary", "HTTPS_PROXY": "http://user:canary@proxy:1"}


def lines(examination: Examination, *, defaults: bool = True) -> dict[str, str]:
    assert examination.resolved is not None
    return {row.text.strip(): row.origin for row in rows(examination.resolved, file="f.yaml", defaults=defaults)}


def test_every_value_says_where_it_came_from(examine: Examine) -> None:
    """File and line, profile, option, variable, or the built-in default."""
    shown = lines(examine(TEXT, environ=ENVIRON, profile="p", overrides=["limits.init=5s"], log_level="TRACE"))
    assert shown["drain_timeout: 1h"] == "f.yaml:2"
    assert shown["num_idle_processes: 4"] == "profile p (f.yaml:8)"
    assert shown["init: 5s"] == "--set limits.init"
    assert shown["log_level: TRACE"] == "--log-level"
    assert shown["url: ws://127.0.0.1:7880"] == "$LIVEKIT_URL"
    assert shown["connect: 10s"] == "default"
    assert shown["voice: alba"] == "f.yaml:4"


def test_secrets_are_fingerprints(examine: Examine) -> None:
    """Fields that are secret, names that sound like it, variables that do, and passwords in URLs."""
    examination = examine(TEXT, environ=ENVIRON)
    assert examination.resolved is not None
    text = "\n".join(row.text for row in rows(examination.resolved, file="f.yaml", defaults=True))
    assert "canary" not in text
    assert text.count("<secret ") == 5
    assert "canary" not in repr(values(examination.resolved, file="f.yaml", defaults=True))


def test_what_is_shown_is_yaml(examine: Examine) -> None:
    """It reads back as what it shows, so it can be copied."""
    examination = examine(TEXT, environ=ENVIRON)
    assert examination.resolved is not None
    shown = rows(examination.resolved, file="f.yaml", defaults=True)
    document = parse(
        "\n".join(row.text.replace("<secret ", "secret-").replace(">", "") for row in shown), "f", Collector("f")
    )
    assert document is not None
    settings = data(document.root.entries["agents"].entries["one"].entries["settings"])
    assert isinstance(settings, dict)
    assert settings["odd key"] == "a: b"
    assert settings["list"] == [1, {"a": 2}]
    assert settings["empty"] == ""


def test_a_rule_is_shown_without_what_it_does_not_say(examine: Examine) -> None:
    """No empty `accept:` below each."""
    rules = "requests: { rules: [{ name: a, action: reject }] }\n"
    shown = [text.strip() for text in lines(examine("entrypoint: code_of_agent:entrypoint\n" + rules))]
    assert "- name: a" in shown
    assert shown.count("accept:") == 1


def test_without_defaults_only_what_somebody_wrote_is_shown(examine: Examine) -> None:
    """A short file stays short."""
    shown = lines(examine("entrypoint: code_of_agent:entrypoint\n"), defaults=False)
    assert "entrypoint: code_of_agent:entrypoint" in shown
    assert "default" not in shown.values()


def test_resolved_shows_every_limit_in_force(examine: Examine) -> None:
    """Nobody has to look up which time-outs there are."""
    shown = {text.partition(":")[0] for text in lines(examine("entrypoint: code_of_agent:entrypoint\n"))}
    assert {path.removeprefix("limits.") for path, _ in descend(FILE) if path.startswith("limits.")} <= shown
