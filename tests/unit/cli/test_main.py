"""The command line's frame: help, usage errors, and what an error becomes."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from agenthost.cli import main as main_module
from agenthost.cli.main import main
from agenthost.config.findings import ConfigError, Finding, Severity
from agenthost.errors import AgentHostError, EntrypointError, ExitCode, RegistrationRefused
from agenthost.version import __version__


def _failing_command(error: BaseException) -> SimpleNamespace:
    """A command module whose only command, `fail`, raises `error`."""

    def run(args: object) -> int:
        raise error

    def add_parser(subparsers) -> None:
        subparsers.add_parser("fail", help="raise").set_defaults(func=run)

    return SimpleNamespace(add_parser=add_parser)


def _main_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> int:
    monkeypatch.setattr(main_module, "_GROUPS", (("Test", (_failing_command(error),)),))
    return main(["fail"])


def test_help_lists_every_command_within_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` is one screen: a title per group, one line per command."""
    assert main(["--help"]) == ExitCode.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "usage: agenthost COMMAND [options]"
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 40
    names = [line.split()[0] for line in lines if line.startswith("  ")]
    assert "version" in names
    assert len(names) == len(set(names))


def test_every_command_has_a_help_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """Each command that the overview lists answers `--help` with its own usage."""
    main(["--help"])
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    for name in names:
        assert main([name, "--help"]) == ExitCode.OK
        assert capsys.readouterr().out.startswith(f"usage: agenthost {name}")


def test_no_command_shows_the_help_as_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing asked is answered with what could be asked; stdout stays empty for scripts."""
    assert main([]) == ExitCode.USAGE
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.startswith("usage: agenthost COMMAND")


def test_mistyped_command_gets_a_suggestion(capsys: pytest.CaptureFixture[str]) -> None:
    """A typing error costs one sentence, not the list of everything."""
    assert main(["verison"]) == ExitCode.USAGE
    assert capsys.readouterr().err == "agenthost: there is no command `verison`; did you mean `agenthost version`?\n"


def test_unknown_command_points_to_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    """A word that resembles no command is not guessed at."""
    assert main(["qqqq"]) == ExitCode.USAGE
    assert "`agenthost --help` lists the commands" in capsys.readouterr().err


def test_unknown_option_is_a_usage_error_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """The message names the command, so that the right help is one step away."""
    assert main(["version", "--format", "xml"]) == ExitCode.USAGE
    assert "Try `agenthost version --help`." in capsys.readouterr().err


@pytest.mark.parametrize(("more", "unknown"), [(["--prot"], "--prot"), (["a", "b"], "b")])
def test_what_a_command_does_not_know_points_to_its_help(
    more: list[str], unknown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The overview of all commands would not say which options this one has."""
    assert main(["validate", *more]) == ExitCode.USAGE
    written = capsys.readouterr().err
    assert f"unrecognized arguments: {unknown};" in written
    assert "`agenthost validate --help`" in written


def test_version_option_prints_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` is for scripts, `version` for bug reports."""
    assert main(["--version"]) == ExitCode.OK
    assert capsys.readouterr().out == f"agenthost {__version__}\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (AgentHostError("port 8081 is taken"), ExitCode.FAILURE),
        (RegistrationRefused("the server refused the key APIx"), ExitCode.REFUSED),
    ],
)
def test_an_error_is_one_message_and_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: AgentHostError, code: ExitCode
) -> None:
    """No traceback of ours: the error's own sentence on stderr, its code for the process manager."""
    assert _main_with(monkeypatch, error) == code
    written = capsys.readouterr()
    assert written.err == f"agenthost: {error}\n"
    assert written.out == ""


def test_an_entrypoint_error_shows_the_users_own_traceback_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What user code raised is not hidden behind our sentence about it."""
    error = EntrypointError("app.py cannot be imported", traceback_text="Traceback: line 3\nZeroDivisionError\n")
    assert _main_with(monkeypatch, error) == ExitCode.CONFIG
    assert capsys.readouterr().err == ("Traceback: line 3\nZeroDivisionError\nagenthost: app.py cannot be imported\n")


def test_a_config_error_shows_every_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All problems at once, each with its place."""
    findings = [
        Finding(code=code, severity=Severity.ERROR, message=message, file="a.yaml", line=line, column=1, end_column=4)
        for code, message, line in [("AH101", "unknown key `foo`", 1), ("AH120", "a duration needs a unit", 2)]
    ]
    error = ConfigError(findings, source="foo: 1\nlimits: 3\n")
    assert _main_with(monkeypatch, error) == ExitCode.CONFIG
    shown = capsys.readouterr().err
    for finding in findings:
        assert finding.code in shown
        assert finding.message in shown
        assert f"a.yaml:{finding.line}:1" in shown


def test_ctrl_c_is_quiet(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A command that Ctrl-C ends says nothing and exits as shells expect."""
    assert _main_with(monkeypatch, KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == ""


def test_folder_that_is_gone_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A shell may stand in a folder that somebody else has removed."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert main(["status"]) == ExitCode.FAILURE
    assert capsys.readouterr().err == "agenthost: the current folder is gone; change to another one\n"


def test_windows_is_refused_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is a way that works, and the message names it."""
    monkeypatch.setattr(sys, "platform", "win32")
    assert main(["version"]) == ExitCode.FAILURE
    assert "use it inside WSL" in capsys.readouterr().err


def test_a_reader_that_goes_away_causes_no_traceback() -> None:
    """`agenthost … | head -0` ends quietly."""
    command = f"{sys.executable} -m agenthost version | true"
    ended = subprocess.run(["bash", "-c", command], stderr=subprocess.PIPE, text=True, timeout=30)
    assert ended.stderr == ""
