"""Finding the local server of a running host."""

from pathlib import Path

import pytest

from agenthost.livekit_server import session_file
from agenthost.livekit_server.connection import Connection


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"XDG_RUNTIME_DIR": str(tmp_path)}


def _connection(port: int) -> Connection:
    return Connection(url=f"ws://127.0.0.1:{port}", api_key="APIkey", api_secret=f"secret-{port}==")


def test_what_is_written_is_read_back(environ: dict[str, str]) -> None:
    """Secrets may contain `=`."""
    held = session_file.write(Path("a.yaml"), _connection(1), environ)
    assert session_file.read(Path("a.yaml"), environ) == _connection(1)
    held.remove()


def test_each_config_file_has_its_own_server(environ: dict[str, str]) -> None:
    """Two `agenthost dev` side by side are told apart by their file; no file asks for the later one."""
    first = session_file.write(Path("a.yaml"), _connection(1), environ)
    second = session_file.write(Path("b.yaml"), _connection(2), environ)
    assert session_file.read(Path("a.yaml"), environ) == _connection(1)
    assert session_file.read(Path("b.yaml"), environ) == _connection(2)
    assert session_file.read(None, environ) == _connection(2)
    first.remove()
    second.remove()


def test_after_removal_nothing_is_found(environ: dict[str, str]) -> None:
    """A host that ended is not offered to other commands."""
    session_file.write(Path("a.yaml"), _connection(1), environ).remove()
    assert session_file.read(None, environ) is None
    assert session_file.read(Path("a.yaml"), environ) is None


def test_the_secret_is_not_in_the_repr() -> None:
    """A connection may end up in a log or a traceback."""
    assert "secret-7" not in repr(_connection(7))
