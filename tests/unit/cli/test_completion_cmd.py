"""`agenthost completion`: what the script answers in a shell."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agenthost.cli.completion_cmd import SHELLS
from agenthost.cli.main import command_line, main
from agenthost.errors import ExitCode

Complete = Callable[..., list[str]]
BASH = shutil.which("bash") or ""


@pytest.fixture
def script(capsys: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    def written(shell: str) -> str:
        assert main(["completion", shell]) == ExitCode.OK
        return capsys.readouterr().out

    return written


@pytest.fixture
def complete(script: Callable[[str], str], tmp_path: Path) -> Complete:
    """What bash offers for the last of the words."""
    file = tmp_path / "completion.bash"
    file.write_text(script("bash"))

    def offered(*words: str) -> list[str]:
        line = " ".join(f"'{word}'" for word in ("agenthost", *words))
        ask = f"source {file}; COMP_WORDS=({line}); COMP_CWORD={len(words)}; _agenthost"
        command = [BASH, "--norc", "-c", f'{ask}; printf "%s\\n" "${{COMPREPLY[@]}}"']
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()

    return offered


def test_every_command_is_offered(complete: Complete) -> None:
    """And of those that begin so, only these."""
    assert complete("") == list(command_line().commands)
    assert complete("re") == ["reload"]


def test_options_come_after_a_dash_and_words_without(complete: Complete) -> None:
    """Files are the shell's own answer to nothing."""
    assert "--no-secrets" in complete("validate", "--")
    assert complete("validate", "") == []
    assert complete("config", "") == ["show"]
    assert complete("config", "show", "--ori") == ["--origin"]
    assert complete("config", "show", "") == []
    assert complete("server", "") == ["install", "path", "run"]


def test_values_of_an_option_are_offered(complete: Complete) -> None:
    """Those of this command."""
    assert complete("validate", "--format", "") == ["text", "json", "github"]
    assert complete("start", "--log-level", "W") == ["WARNING"]
    assert complete("validate", "--env-file", "") == []


def test_keys_and_codes_are_offered_to_explain(complete: Complete) -> None:
    """By the paths that it understands."""
    assert complete("explain", "limits.mem") == ["limits.memory_warn", "limits.memory"]
    assert complete("explain", "AH13") == ["AH130"]


def test_fish_and_zsh_know_the_same_commands(script: Callable[[str], str]) -> None:
    """One source for all shells."""
    for shell in SHELLS:
        text = script(shell)
        assert all(command in text for command in command_line().commands)
        assert "--origin" in text or "-l origin" in text
