"""`agenthost init`: a first file that works at once."""

from pathlib import Path

import pytest

from agenthost.cli.main import main
from agenthost.config.loading import Options, examine
from agenthost.errors import ExitCode

SCRIPT = """
import os
from livekit.agents import AgentServer, JobContext, JobProcess, ServerEnvOption, WorkerPermissions, cli

server = AgentServer(
    num_idle_processes=ServerEnvOption(dev_default=0, prod_default=3),
    load_threshold=0.8,
    drain_timeout=30 * 60,
    permissions=WorkerPermissions(can_publish=False, hidden=True),
    ws_url=os.environ["URL"],
    api_secret="canary-secret",
    max_retry=3,
)


def prewarm(proc: JobProcess) -> None: ...


async def on_request(request) -> None: ...


server.setup_fnc = prewarm


@server.rtc_session(agent_name=os.getenv("AGENT", "desk"), on_request=on_request)
async def my_agent(ctx: JobContext) -> None: ...


if __name__ == "__main__":
    cli.run_app(server)
"""

EXPECTED = """\
# yaml-language-server: $schema=./schemas/agenthost.schema.json
# Made from app/desk.py by `agenthost init`. Check it with `agenthost validate`.
version: 1
agent_name: "${AGENT:-desk}"
entrypoint: app.desk:my_agent
prewarm: app.desk:prewarm
livekit: { url: "${URL}" }
permissions: { can_publish: false, hidden: true }
requests: { handler: app.desk:on_request }
load: { cpu: 80% }
num_idle_processes: 3
drain_timeout: 30m
profiles: { dev: { num_idle_processes: 0 } }

# Not taken over:
# - api_secret (app/desk.py:11): it belongs in the environment, as LIVEKIT_API_SECRET; it was not copied
# - max_retry (app/desk.py:12): the host reconnects for ever
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def findings(file: Path, command: str = "dev") -> list[str]:
    return [finding.message for finding in examine(file, Options(environ={}, command=command)).findings]


def test_starter_is_valid_and_its_tests_pass(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Four files, no findings, every rule covered."""
    assert main(["init"]) == ExitCode.OK
    written = capsys.readouterr()
    assert written.err == ""
    assert written.out.splitlines()[0].split()[:2] == ["wrote", "agenthost.yaml"]
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {"agenthost.yaml", "my_agent.py", "AGENTS.md", "schemas/agenthost.schema.json"}
    assert findings(folder / "agenthost.yaml") == []
    assert main(["test"]) == ExitCode.OK
    assert "1 of 1 rules decided a test" in capsys.readouterr().out


def test_folder_can_be_named(capsys: pytest.CaptureFixture[str]) -> None:
    """It is made, and the next step says to go there."""
    assert main(["init", "new/agent"]) == ExitCode.OK
    assert Path("new/agent/agenthost.yaml").is_file()
    assert capsys.readouterr().out.endswith("next: cd new/agent && agenthost dev\n")


def test_existing_file_is_not_written_over(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing at all is written then."""
    Path("agenthost.yaml").write_text("mine")
    assert main(["init"]) == ExitCode.USAGE
    assert capsys.readouterr().err == "agenthost: agenthost.yaml is already here; use --force to write over it\n"
    assert [path.name for path in Path().iterdir()] == ["agenthost.yaml"]


def test_force_writes_the_file_but_never_over_code_or_guide(capsys: pytest.CaptureFixture[str]) -> None:
    """What people wrote stays; a finding says that the file does not fit their code."""
    for name in ("agenthost.yaml", "my_agent.py", "AGENTS.md"):
        Path(name).write_text("# mine\n")
    assert main(["init", "--force"]) == ExitCode.OK
    assert Path("my_agent.py").read_text() == Path("AGENTS.md").read_text() == "# mine\n"
    written = capsys.readouterr()
    assert written.out.count("kept") == 2
    assert "module `my_agent` has no `entrypoint`" in written.err


def test_file_is_made_from_a_script(capsys: pytest.CaptureFixture[str]) -> None:
    """What the script sets up, in our words; no secret is copied, and what is left out is said."""
    Path("app").mkdir()
    Path("app/desk.py").write_text(SCRIPT)
    assert main(["init", "--from", "app/desk.py"]) == ExitCode.OK
    assert Path("agenthost.yaml").read_text() == EXPECTED
    assert "canary" not in Path("AGENTS.md").read_text() + "".join(capsys.readouterr())
    environ = {"URL": "ws://127.0.0.1:1", "LIVEKIT_API_KEY": "k", "LIVEKIT_API_SECRET": "s"}
    assert examine(Path("agenthost.yaml"), Options(environ=environ, command="start")).findings == ()


def test_option_beyond_our_bounds_is_a_finding_on_the_new_file(capsys: pytest.CaptureFixture[str]) -> None:
    """The file is there to be corrected."""
    Path("a.py").write_text(
        "from livekit.agents import WorkerOptions\nasync def e(ctx): ...\nWorkerOptions(e, num_idle_processes=-1)"
    )
    assert main(["init", "--from", "a.py"]) == ExitCode.OK
    assert "num_idle_processes: -1" in capsys.readouterr().err


def test_agent_that_only_the_whole_script_names_is_made_by_running_it() -> None:
    """What the file says of it is fit to be started: nothing in it has to be found by a name."""
    Path("a.py").write_text(
        "from livekit.agents import AgentServer, cli\nif __name__ == '__main__':\n  server = AgentServer()\n"
        "  @server.rtc_session(agent_name='desk')\n  async def e(ctx): ...\n  cli.run_app(server)\n"
    )
    assert main(["init", "--from", "a.py"]) == ExitCode.OK
    lines = Path("agenthost.yaml").read_text().splitlines()
    assert "entrypoint: a.py" in lines
    assert "agent_name: desk" in lines


@pytest.mark.parametrize("there", [True, False])
def test_env_file_is_named_only_if_it_is_there(there: bool) -> None:
    """Scripts pass over one that is missing, the file does not."""
    Path("a.py").write_text(
        "from dotenv import load_dotenv\nfrom livekit.agents import WorkerOptions\nload_dotenv('.env.local')\n"
        "async def e(ctx): ...\nWorkerOptions(e)\n"
    )
    if there:
        Path(".env.local").write_text("A=1\n")
    assert main(["init", "--from", "a.py"]) == ExitCode.OK
    lines = Path("agenthost.yaml").read_text().splitlines()
    assert ("env_file: .env.local" in lines) is there
    assert (
        "# - env_file: there is no .env.local here; write `env_file: .env.local` when there is" in lines
    ) is not there


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing.py", "cannot read missing.py: no such file or directory"),
        ("../missing.py", "cannot read ../missing.py: no such file or directory"),
        ("../outside.py", "is not below ."),
        ("my-agent.py", "my-agent.py cannot be imported by its name"),
        ("plain.py", "plain.py sets up no agent that can be read from it"),
    ],
)
def test_script_that_cannot_be_used_is_one_sentence(
    name: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is written."""
    for there in ("plain.py", "../outside.py"):
        Path(there).write_text("print('hello')\n")
    assert main(["init", "--from", name]) == ExitCode.USAGE
    assert message in capsys.readouterr().err
    assert not Path("agenthost.yaml").exists()
