"""`agenthost explain`."""

import json

import pytest

from agenthost.cli.main import main
from agenthost.errors import ExitCode


def test_a_key_is_explained_within_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """Description, how it is written, default, what a change does."""
    assert main(["explain", "limits.memory"]) == ExitCode.OK
    out = capsys.readouterr().out
    assert out.splitlines()[0] == "agents.*.limits.memory"
    assert "size, or `none`" in out
    assert "live: the next request sees it" in out
    assert max(map(len, out.splitlines())) <= 80


def test_a_code_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    """As it stands in a finding."""
    assert main(["explain", "AH120"]) == ExitCode.OK
    assert capsys.readouterr().out.startswith("AH120  not a duration\n")


def test_without_a_topic_all_keys_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    """Each with what it is about."""
    assert main(["explain"]) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("  drain_timeout ") for line in lines)
    assert max(map(len, lines)) <= 80


def test_json_is_for_scripts(capsys: pytest.CaptureFixture[str]) -> None:
    """The same content."""
    for topic in (["drain_timeout"], ["AH120"], []):
        assert main(["explain", *topic, "--format", "json"]) == ExitCode.OK
        assert json.loads(capsys.readouterr().out)


def test_an_unknown_topic_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """With the nearest that there is."""
    assert main(["explain", "limts"]) == ExitCode.USAGE
    assert "did you mean `limits`?" in capsys.readouterr().err
