"""What `dev` and `start` show of themselves."""

import argparse
from pathlib import Path

import pytest

from agenthost.cli.run_cmd import _for_commands
from agenthost.config.loading import Options, examine, load_entrypoint, loaded

ENVIRON: dict[str, str] = {}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With an agent, a file for it of each usual name, and one of another."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text("async def run(ctx): ...\n")
    for name in ("agenthost.yaml", "agenthost.yml", "other.yaml"):
        (tmp_path / name).write_text("entrypoint: app:run\n")
    return tmp_path


@pytest.mark.parametrize(
    ("given", "told"),
    [("agenthost.yaml", ()), ("agenthost.yml", ("agenthost.yml",)), ("other.yaml", ("other.yaml",)), (None, ())],
)
def test_command_for_the_agent_names_a_file_that_is_not_the_default(
    folder: Path, given: str | None, told: tuple[str, ...]
) -> None:
    """Pasted, it must not reach another host."""
    config = loaded(examine(Path(given or "agenthost.yaml"), Options(environ=ENVIRON, command="dev"))).config
    args = argparse.Namespace(command="dev", file=given, env_file=None)
    assert _for_commands(config, args) == told


def test_command_for_the_agent_names_what_a_variable_named(folder: Path) -> None:
    """AGENTHOST_CONFIG may be set in one terminal only."""
    config = loaded(examine(folder / "other.yaml", Options(environ=ENVIRON, command="dev"))).config
    args = argparse.Namespace(command="dev", file=None, env_file=None)
    assert _for_commands(config, args) == ("other.yaml",)


def test_command_for_the_agent_names_code_and_the_file_of_variables(folder: Path) -> None:
    """The server may be named in there."""
    config = load_entrypoint("app:run", Options(environ=ENVIRON, command="dev")).config
    args = argparse.Namespace(command="dev", file="app:run", env_file=Path(".env.local"))
    assert _for_commands(config, args) == ("app:run", "--env-file", ".env.local")
