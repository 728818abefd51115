"""Which LiveKit server a command is meant for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from agenthost.cli.target import find_connection
from agenthost.config.findings import ConfigError
from agenthost.config.loading import Options, load_entrypoint
from agenthost.control.client import NobodyListens
from agenthost.control.location import default_path, lock_path, lock_text
from agenthost.errors import ConnectionLost, UsageError
from agenthost.livekit_server import session_file
from agenthost.livekit_server.connection import Connection
from agenthost.runtime_folder import HeldFile, runtime_folder

KEYS = {"LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "secret"}
LOCAL = Connection(url="ws://127.0.0.1:1", api_key="local", api_secret="local-secret")
OTHER = Connection(url="ws://127.0.0.1:2", api_key="other", api_secret="other-secret")


@pytest.fixture
def environ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """No server anywhere, and no agenthost.yaml in the current folder."""
    monkeypatch.chdir(tmp_path)
    return {"XDG_RUNTIME_DIR": str(tmp_path)}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text("entrypoint: app:run\n")
    (tmp_path / "app.py").write_text("async def run(ctx): ...\n")
    return path


@pytest.fixture
def running(file: Path, environ: dict[str, str]) -> Iterator[HeldFile]:
    """`agenthost dev mine.yaml` runs with a local server."""
    held = session_file.write(file, LOCAL, environ)
    yield held
    held.remove()


def test_url_of_the_command_line_comes_first(file: Path, running: HeldFile, environ: dict[str, str]) -> None:
    """What is said now beats what is set or runs."""
    environ |= KEYS | {"LIVEKIT_URL": "ws://set"}
    assert find_connection(str(file), "ws://said", environ).url == "ws://said"


@pytest.mark.parametrize("code", ["app.py", "sub/../app.py", "app:run"])
def test_host_that_was_given_code_is_found_by_it(environ: dict[str, str], file: Path, code: str) -> None:
    """`agenthost dev app.py` runs without a file, and with the server that the variables beside it name, if they do."""
    (file.parent / "sub").mkdir()
    connected = find_connection("app:run", None, environ | KEYS | {"LIVEKIT_URL": "ws://set"})
    assert connected.url == "ws://set"
    given = load_entrypoint("app:run" if ":" in code else "app.py", Options(environ=environ, command="dev")).config
    held = session_file.write(given.identity, LOCAL, environ)
    other = session_file.write(file, OTHER, environ)
    assert find_connection(code, None, environ) == LOCAL
    held.remove()
    with pytest.raises(ConnectionLost, match="no LiveKit server is known"):
        find_connection(code, None, environ)
    (file.parent / ".env").write_text("LIVEKIT_URL=ws://env\nLIVEKIT_API_KEY=k\nLIVEKIT_API_SECRET=s\n")
    assert find_connection(code, None, environ).url == "ws://env"
    other.remove()


def test_only_host_of_code_here_comes_before_the_last_one_elsewhere(environ: dict[str, str], file: Path) -> None:
    """As for the other commands; which of several is meant has to be said."""
    code = load_entrypoint("app:run", Options(environ=environ, command="dev")).config
    here = session_file.write(code.identity, LOCAL, environ)
    elsewhere = session_file.write(Path("/elsewhere/agenthost.yaml"), OTHER, environ)
    assert find_connection(None, None, environ) == OTHER
    locks = [HeldFile.claim(lock_path(default_path(code.identity, environ)), lock_text(code.folder, "app:run"))]
    assert find_connection(None, None, environ) == LOCAL
    locks.append(HeldFile.claim(lock_path(default_path(file, environ)), lock_text(code.folder, "/x/b.py")))
    with pytest.raises(NobodyListens, match=r"name \.\./.*b\.py or app:run"):
        find_connection(None, None, environ)
    for held in (here, elsewhere, *locks):
        assert held
        held.remove()


def test_only_host_of_code_here_may_have_the_server_of_its_variables(environ: dict[str, str], file: Path) -> None:
    """Then it has started none of its own, and its code is not read as if it was a file."""
    config = load_entrypoint("app.py", Options(environ=environ, command="dev")).config
    runtime_folder(environ)
    lock = HeldFile.claim(lock_path(default_path(config.identity, environ)), lock_text(config.folder, config.code))
    assert lock
    (file.parent / ".env").write_text("LIVEKIT_URL=ws://env\nLIVEKIT_API_KEY=k\nLIVEKIT_API_SECRET=s\n")
    assert find_connection(None, None, environ).url == "ws://env"
    lock.remove()


@pytest.mark.parametrize("code", ["loop.py", f"{'x' * 300}.py", f"{'x' * 300}:run", "-dash.py"])
def test_code_that_cannot_be_is_run_by_no_host(environ: dict[str, str], tmp_path: Path, code: str) -> None:
    """Links in a circle, and names that no file can have."""
    (tmp_path / "loop.py").symlink_to("loop.py")
    with pytest.raises((ConnectionLost, ConfigError)):
        find_connection(code, None, environ)


def test_variable_comes_before_what_runs(file: Path, running: HeldFile, environ: dict[str, str]) -> None:
    """Whoever sets LIVEKIT_URL means that server."""
    environ |= KEYS | {"LIVEKIT_URL": "ws://set"}
    assert find_connection(str(file), None, environ) == Connection(url="ws://set", api_key="key", api_secret="secret")


def test_url_without_keys_names_what_is_missing(environ: dict[str, str]) -> None:
    """Half a setting is a mistake, not a reason to look elsewhere."""
    with pytest.raises(UsageError, match="set LIVEKIT_API_SECRET"):
        find_connection(None, "ws://said", environ | {"LIVEKIT_API_KEY": "key"})


def test_keys_that_are_no_text_are_named(environ: dict[str, str]) -> None:
    """No server knows such a pair, and none can be told of it."""
    with pytest.raises(UsageError, match="LIVEKIT_API_SECRET is not UTF-8"):
        find_connection(None, "ws://said", environ | KEYS | {"LIVEKIT_API_SECRET": "\udcff"})


def test_running_host_of_the_file_is_found(file: Path, running: HeldFile, environ: dict[str, str]) -> None:
    """Each file has the server of its own host."""
    other = session_file.write(Path("other.yaml"), OTHER, environ)
    assert find_connection(str(file), None, environ) == LOCAL
    assert find_connection("other.yaml", None, environ) == OTHER
    other.remove()


def test_without_a_file_the_last_started_server_is_used(running: HeldFile, environ: dict[str, str]) -> None:
    """In a folder without agenthost.yaml there is still the server that runs."""
    assert find_connection(None, None, environ) == LOCAL


def test_server_that_the_file_names_is_used(file: Path, environ: dict[str, str]) -> None:
    """Also when a variable that only the agents need is not set in this shell."""
    file.write_text(
        "entrypoint: app:run\n"
        "livekit: { url: ws://named, api_key: '${KEY}', api_secret: '${SECRET}' }\n"
        "env: { OPENAI_API_KEY: '${OPENAI_API_KEY:?set it}' }\n"
    )
    found = find_connection(str(file), None, environ | {"KEY": "k", "SECRET": "s"})
    assert found == Connection(url="ws://named", api_key="k", api_secret="s")


@pytest.mark.parametrize("reference", ["${KEY}", "${KEY:-}"])
def test_key_that_the_file_names_and_nobody_sets_is_a_finding(
    file: Path, environ: dict[str, str], reference: str
) -> None:
    """It has a place in the file, and the error shows it."""
    file.write_text(
        f"entrypoint: app:run\nlivekit: {{ url: ws://named, api_key: '{reference}', api_secret: '${{SECRET}}' }}\n"
    )
    with pytest.raises(ConfigError) as raised:
        find_connection(str(file), None, environ | {"SECRET": "s"})
    assert "key" in raised.value.findings[0].message.lower()


def test_env_file_of_the_command_line_counts_as_environment(environ: dict[str, str], tmp_path: Path) -> None:
    """What `agenthost server run` writes can be given to every command."""
    held = session_file.write(Path("elsewhere.yaml"), LOCAL, environ)
    (tmp_path / "copy.env").write_text(held.path.read_text())
    held.remove()
    assert find_connection(None, None, environ, env_file=tmp_path / "copy.env") == LOCAL
    beaten = environ | KEYS | {"LIVEKIT_URL": "ws://set"}
    assert find_connection(None, None, beaten, env_file=tmp_path / "copy.env").url == "ws://set"


def test_env_file_that_is_not_there_is_a_finding(environ: dict[str, str]) -> None:
    """As for every other command."""
    with pytest.raises(ConfigError, match="env file"):
        find_connection(None, None, environ, env_file=Path("gone.env"))


def test_another_hosts_server_is_not_used_for_a_named_file(
    running: HeldFile, environ: dict[str, str], tmp_path: Path
) -> None:
    """A dispatch must not land on a server that the file has nothing to do with."""
    (tmp_path / "other.yaml").write_text("entrypoint: app:run\n")
    with pytest.raises(ConnectionLost, match="start `agenthost dev`"):
        find_connection("other.yaml", None, environ)


def test_no_server_anywhere_says_what_to_do(environ: dict[str, str]) -> None:
    """Three ways, in one sentence."""
    with pytest.raises(ConnectionLost, match="start `agenthost dev`, or set LIVEKIT_URL or --url"):
        find_connection(None, None, environ)
