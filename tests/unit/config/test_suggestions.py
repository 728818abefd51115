"""What somebody probably meant."""

import pytest

from agenthost.config.fields import Spec
from agenthost.config.host_fields import FILE
from agenthost.config.suggestions import FOREIGN_NAMES, suggest_key, suggest_value

AGENT = FILE.children["agents"].child("any")
LIMITS = FILE.children["limits"]
RULE = FILE.children["requests"].children["rules"].child(0)


def exists(path: str) -> bool:
    spec: Spec | None = FILE
    for step in path.split("."):
        spec = spec.children.get(step) if spec else None
    return spec is not None


@pytest.mark.parametrize(("foreign", "ours"), FOREIGN_NAMES.items())
def test_every_foreign_name_leads_to_a_key_that_exists(foreign: str, ours: str) -> None:
    """And is no key of ours itself."""
    assert exists(ours) or ours in ("when", "action", "callable", "limit")
    assert foreign not in FILE.children


@pytest.mark.parametrize(
    ("written", "section", "rename"),
    [
        ("entrypont", FILE, "entrypoint"),
        ("agentName", FILE, "agent_name"),
        ("num-idle-processes", FILE, "num_idle_processes"),
        ("entrypoint_fnc", AGENT, "entrypoint"),
        ("maxDuration", LIMITS, "max_duration"),
        ("if", RULE, "when"),
        ("worker_type", AGENT, "type"),
    ],
)
def test_keys_that_can_be_renamed(written: str, section: Spec, rename: str) -> None:
    """These are what `--fix` corrects."""
    assert suggest_key(written, section, [written]).rename == rename


@pytest.mark.parametrize(
    ("written", "section", "hint"),
    [
        ("ws_url", FILE, "livekit: { url: … }"),
        ("ws_url", AGENT, "at the top level"),
        ("max_jobs", AGENT, "load: { max_jobs: … }"),
        ("timezone", AGENT, "top level"),
        ("identity", FILE, "requests: { accept: { identity: … } }"),
        ("agent_name", LIMITS, "belongs to the agent"),
        ("max_retry", FILE, "remove it"),
        ("zzzzzz", FILE.children["http"], "known here: `listen`"),
        ("zzzzzz", FILE, "agenthost explain"),
    ],
)
def test_keys_that_belong_elsewhere(written: str, section: Spec, hint: str) -> None:
    """The hint says where, but nothing is renamed."""
    suggestion = suggest_key(written, section, [written])
    assert (suggestion.rename, hint in suggestion.hint) == ("", True), suggestion


def test_a_key_that_is_already_there_is_not_suggested_again() -> None:
    """Correcting it would only make it a duplicate."""
    suggestion = suggest_key("agentName", FILE, ["agentName", "agent_name"])
    assert suggestion.rename == ""
    assert "already" in suggestion.hint


@pytest.mark.parametrize(
    ("written", "choices", "meant"),
    [
        ("debug", ("DEBUG", "INFO"), "DEBUG"),
        ("warn", ("INFO", "WARNING"), "WARNING"),
        ("deny", ("accept", "reject"), ""),
        ("on_failure", ("never", "on-failure"), "on-failure"),
        ("publsher", ("room", "publisher"), "publisher"),
        ("zzz", ("room", "publisher"), ""),
    ],
)
def test_values_by_resemblance(written: str, choices: tuple[str, ...], meant: str) -> None:
    """Case, hyphens, usual synonyms, typing errors."""
    assert suggest_value(written, choices) == meant
