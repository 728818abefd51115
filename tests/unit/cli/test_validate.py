"""`agenthost validate`: formats, options and exit codes."""

import json
from pathlib import Path

import pytest

from agenthost.cli.main import main
from agenthost.errors import ExitCode

GOOD = "entrypoint: agent_code:entrypoint\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with code in it and a server in the environment."""
    (tmp_path / "agent_code.py").write_text("async def entrypoint(ctx): ...\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AGENTHOST_CONFIG", raising=False)
    for name, value in {"URL": "ws://127.0.0.1:1", "API_KEY": "key", "API_SECRET": "canary"}.items():
        monkeypatch.setenv(f"LIVEKIT_{name}", value)
    return tmp_path


def write(text: str, name: str = "agenthost.yaml") -> str:
    Path(name).write_text(text)
    return name


def test_a_valid_file_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """And what was looked at."""
    write(GOOD)
    assert main(["validate"]) == ExitCode.OK
    assert capsys.readouterr().out == (
        "agenthost.yaml is valid\nchecked: syntax ✓  schema ✓  meaning ✓  imports ✓  server –\n"
    )


def test_errors_exit_78_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    """They are the result of this command, not a failure of it."""
    assert main(["validate", write("entrypont: a:b\n", "broken.yaml")]) == ExitCode.CONFIG
    written = capsys.readouterr()
    assert "broken.yaml:1:1  error[AH101]" in written.out
    assert written.err == ""


@pytest.mark.parametrize("arguments", [[], ["gone.yaml"]])
@pytest.mark.parametrize("form", ["text", "json", "github"])
def test_a_missing_file_exits_78_in_every_format(
    arguments: list[str], form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A script that reads JSON gets JSON."""
    assert main(["validate", *arguments, "--format", form]) == ExitCode.CONFIG
    out = capsys.readouterr().out
    assert "AH001" in out
    if form == "json":
        assert json.loads(out)["ok"] is False


def test_json_has_findings_and_stages(capsys: pytest.CaptureFixture[str]) -> None:
    """One object on stdout and nothing else."""
    write(f"{GOOD}drain_timeout: 5\n")
    assert main(["validate", "--format", "json"]) == ExitCode.CONFIG
    report = json.loads(capsys.readouterr().out)
    assert (report["ok"], report["file"]) == (False, "agenthost.yaml")
    assert report["stages"] == {
        "syntax": "passed",
        "schema": "failed",
        "meaning": "not checked",
        "imports": "not checked",
        "server": "not checked",
    }
    (finding,) = report["findings"]
    assert (finding["code"], finding["line"], finding["fix"]["text"]) == ("AH120", 2, "5s")


def test_github_annotations_are_one_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    """Ready for a workflow."""
    write("entrypont: a:b\n")
    main(["validate", "--format", "github"])
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("::error file=agenthost.yaml,line=1,col=1,")


def test_warnings_fail_only_when_denied() -> None:
    """`--deny-warnings` is for CI."""
    write(f"{GOOD}permissions: {{ hidden: true }}\n")
    assert main(["validate"]) == ExitCode.OK
    assert main(["validate", "--deny-warnings"]) == ExitCode.FAILURE


def test_no_secrets_needs_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A build machine has no key."""
    write(GOOD + "env: { KEY: '${KEY:?set it}' }\n")
    for name in ("URL", "API_KEY", "API_SECRET"):
        monkeypatch.delenv(f"LIVEKIT_{name}")
    assert main(["validate"]) == ExitCode.CONFIG
    assert main(["validate", "--no-secrets", "--deny-warnings"]) == ExitCode.OK


def test_fix_corrects_the_file_and_checks_it_again(capsys: pytest.CaptureFixture[str]) -> None:
    """What is left is shown."""
    write("# mine\nentrypont: agent_code:entrypoint\ndrain_timeout: 60\n")
    assert main(["validate", "--fix"]) == ExitCode.OK
    assert capsys.readouterr().out.startswith("corrected 2 in agenthost.yaml\n\nagenthost.yaml is valid\n")
    assert Path("agenthost.yaml").read_text() == "# mine\nentrypoint: agent_code:entrypoint\ndrain_timeout: 1m\n"


def test_profile_set_and_env_file_count(folder: Path) -> None:
    """The same layers as under `start`."""
    write(GOOD + "agent_name: ${NAME}\nprofiles: { p: { drain_timeout: 5 } }\n")
    (folder / "names.env").write_text("NAME=x\n")
    given = ["validate", "--env-file", "names.env"]
    assert main(["validate"]) == ExitCode.CONFIG
    assert main(given) == ExitCode.CONFIG  # the profile's mistake is one whether it is chosen or not
    assert main([*given, "--profile", "p", "--set", "drain_timeout=5s"]) == ExitCode.OK
    assert main([*given, "--set", "nonsense"]) == ExitCode.USAGE


def test_no_secret_is_ever_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Neither one of the environment nor one that was written into the file."""
    write("livekit: { api_secret: canary }\nenv: { TOKEN: canary }\nentrypont: a:b\nsettings: { password: canary }\n")
    for form in ("text", "json", "github"):
        main(["validate", "--format", form])
        written = capsys.readouterr()
        assert "canary" not in written.out + written.err


def test_the_schema_command_prints_the_published_schema(capsys: pytest.CaptureFixture[str]) -> None:
    """For editors that cannot find the file in the repository."""
    assert main(["schema"]) == ExitCode.OK
    published = Path(__file__).parents[3] / "schemas" / "agenthost.schema.json"
    assert capsys.readouterr().out == published.read_text(encoding="utf-8")
