"""`agenthost config show`."""

import json
from pathlib import Path

import pytest

from agenthost.cli.main import main
from agenthost.errors import ExitCode


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIVEKIT_API_SECRET", "canary")
    written = tmp_path / "agenthost.yaml"
    written.write_text("entrypoint: agent_code:entrypoint\ndrain_timeout: 1h\n")
    return written


def test_resolved_and_origin(capsys: pytest.CaptureFixture[str]) -> None:
    """Each value with where it came from; a missing module does not matter here."""
    assert main(["config", "show", "--resolved", "--origin"]) == ExitCode.OK
    out = capsys.readouterr().out
    assert "canary" not in out
    lines = [line.split() for line in out.splitlines()]
    assert ["drain_timeout:", "1h", "#", "agenthost.yaml:2"] in lines
    assert ["log_level:", "INFO", "#", "default"] in lines


def test_dev_has_other_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    """`--dev` shows those."""
    main(["config", "show", "--resolved", "--dev"])
    assert "log_level: DEBUG" in capsys.readouterr().out


def test_json_holds_values_and_origins(capsys: pytest.CaptureFixture[str]) -> None:
    """For scripts that compare hosts."""
    assert main(["config", "show", "--resolved", "--format", "json"]) == ExitCode.OK
    shown = json.loads(capsys.readouterr().out)
    assert shown["drain_timeout"] == {"value": "1h", "origin": "agenthost.yaml:2"}
    assert shown["agents"]["agent"]["limits"]["init"] == {"value": "30s", "origin": "default"}


def test_a_broken_file_is_reported_as_everywhere(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Findings on stderr, exit 78, nothing on stdout that could be taken for a configuration."""
    file.write_text("entrypont: a:b\n")
    assert main(["config", "show"]) == ExitCode.CONFIG
    written = capsys.readouterr()
    assert written.out == ""
    assert "error[AH101]" in written.err


def test_every_time_limit_in_force_is_shown(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Scenario 19: those of the file, and the defaults of the others."""
    file.write_text("entrypoint: agent_code:entrypoint\nlimits: { shutdown: 60s }\n")
    main(["config", "show", "--resolved"])
    shown = dict(line.split(":", 1) for line in capsys.readouterr().out.splitlines() if ":" in line)
    found = {key.strip(): value.strip() for key, value in shown.items()}
    limits = {"init": "30s", "connect": "10s", "unresponsive": "60s", "shutdown": "60s", "session_end": "5m"}
    limits |= {"max_duration": "none", "empty_room": "none", "drain_timeout": "30m"}
    assert {key: found[key] for key in limits} == limits
