"""`agenthost server`, as far as it starts nothing; the rest is in tests/e2e/test_local_server.py."""

from pathlib import Path

import pytest

from agenthost.cli.main import main
from agenthost.errors import ExitCode


@pytest.fixture(autouse=True)
def nothing_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("AGENTHOST_LIVEKIT_SERVER", raising=False)


def test_path_of_nothing_says_how_to_get_one(capsys: pytest.CaptureFixture[str]) -> None:
    """The next command is in the message."""
    assert main(["server", "path"]) == ExitCode.FAILURE
    written = capsys.readouterr()
    assert written.out == ""
    assert "`agenthost server install`" in written.err


@pytest.mark.parametrize("port", ["0", "65536", "-1"])
def test_impossible_port_is_a_usage_error(port: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is built or started."""
    assert main(["server", "run", f"--port={port}"]) == ExitCode.USAGE
    assert "use one from 1 to 65535" in capsys.readouterr().err


def test_server_alone_asks_for_an_action(capsys: pytest.CaptureFixture[str]) -> None:
    """The three are named."""
    assert main(["server"]) == ExitCode.USAGE
    assert "install|run|path" in capsys.readouterr().err
