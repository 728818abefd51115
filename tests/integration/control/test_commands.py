"""status, plan, reload and stop, against a real control socket."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest
from msgspec.structs import replace

from agenthost.cli.main import main
from agenthost.config.findings import Finding, Severity
from agenthost.config.named_code import code_name
from agenthost.control.location import lock_text
from agenthost.control.server import ControlSocket
from agenthost.errors import ExitCode
from agenthost.status import HostState, PlanReport, ReloadReport
from tests.integration.control.conftest import AGENT, Handler, Running


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    code: int
    out: str
    err: str


class Run(Protocol):
    async def __call__(self, *arguments: str) -> Ended: ...


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """`await run("status")`: the command, in the folder of the file; it is blocking, the host's loop is not."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("AGENTHOST_CONFIG", raising=False)
    monkeypatch.setenv("COLUMNS", "80")

    async def run(*arguments: str) -> Ended:
        code = await asyncio.to_thread(main, arguments)
        written = capsys.readouterr()
        return Ended(code=code, out=written.out, err=written.err)

    return run


class RunCode(Protocol):
    async def __call__(self, code: str, agent: str) -> None: ...


@pytest.fixture
async def running_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunCode]:
    """`await running_code(code, agent)`: a host of that agent listens as `dev CODE`, started in the test's folder."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    sockets = []

    async def listen(code: str, agent: str) -> None:
        name = code_name(code)
        running = Running(tmp_path / name, tmp_path, text=lock_text(tmp_path, name))
        running.handler.host = replace(running.handler.host, agents=(replace(AGENT, id=agent),))
        assert await running.socket.start() == running.path
        sockets.append(running.socket)

    yield listen
    for socket in sockets:
        await socket.stop()


async def test_status_names_agents_and_state(running: Running, run: Run) -> None:
    """For people; nothing of it is wider than the terminal."""
    ended = await run("status")
    assert ended.code == ExitCode.OK
    assert "running" in ended.out
    assert "support" in ended.out
    assert max(map(len, ended.out.splitlines())) <= 80


async def test_status_as_json_is_the_whole_status(running: Running, run: Run) -> None:
    """For scripts; the keys are those of `/worker`."""
    ended = await run("status", "--format", "json")
    body = json.loads(ended.out)
    assert (ended.code, body["state"], body["agents"][0]["id"]) == (ExitCode.OK, "running", "support")


async def test_plan_exits_with_10_when_there_are_changes(running: Running, run: Run) -> None:
    """As terraform's -detailed-exitcode: 0 is no change."""
    ended = await run("plan")
    assert ended.code == ExitCode.CHANGES
    assert "new generation" in ended.out
    assert "app/support.py" in ended.out
    running.handler.planned = PlanReport(ok=True, changes=running.handler.planned.changes[1:])
    ended = await run("plan")
    assert (ended.code, ended.out) == (ExitCode.OK, "no changes\n")


async def test_reload_says_what_it_did(running: Running, run: Run) -> None:
    """The same lines as `plan`, and how long it took."""
    ended = await run("reload")
    assert ended.code == ExitCode.OK
    assert "new generation" in ended.out
    assert "reloaded in 0.25 s: 1 change, 2 jobs keep running" in ended.out
    assert ended.err == ""


@pytest.mark.parametrize("command", ["plan", "reload"])
async def test_broken_file_shows_its_findings(running: Running, run: Run, command: str) -> None:
    """With the line, as `validate` does; exit 78; stdout stays empty."""
    finding = Finding(
        code="AH101",
        severity=Severity.ERROR,
        message="unknown key `foo`",
        file="a.yaml",
        line=1,
        column=1,
        end_column=4,
    )
    failure = {"ok": False, "invalid": True, "error": "e", "findings": (finding,), "file": "a.yaml", "source": "foo: 1"}
    running.handler.planned, running.handler.reloaded = PlanReport(**failure), ReloadReport(**failure)
    ended = await run(command)
    assert (ended.code, ended.out) == (ExitCode.CONFIG, "")
    assert "a.yaml:1:1  error[AH101] unknown key `foo`" in ended.err
    assert "1 │ foo: 1" in ended.err
    assert "everything" in ended.err


async def test_broken_code_shows_the_users_traceback(running: Running, run: Run) -> None:
    """Then the sentence about it."""
    running.handler.reloaded = ReloadReport(
        ok=False, invalid=True, error="import failed", traceback_text="Traceback\n  line 1\nValueError: x\n"
    )
    ended = await run("reload")
    assert ended.code == ExitCode.CONFIG
    assert ended.err.startswith("Traceback\n  line 1\nValueError: x\nimport failed\n")


async def test_refused_reload_is_a_failure_that_may_pass(running: Running, run: Run) -> None:
    """During a drain; the file is not to blame."""
    running.handler.reloaded = ReloadReport(ok=False, refused=True, error="no reload now: the host is draining")
    ended = await run("reload")
    assert ended.code == ExitCode.FAILURE
    assert "no reload now: the host is draining" in ended.err


@pytest.mark.parametrize("command", ["plan", "reload"])
async def test_json_has_the_whole_report(running: Running, run: Run, command: str) -> None:
    """Also of a failure; the exit code is the same."""
    ended = await run(command, "--format", "json")
    assert json.loads(ended.out)["changes"][0]["reasons"] == ["app/support.py"]
    running.handler.planned = running.handler.reloaded = ReloadReport(ok=False, error="e", invalid=True)
    ended = await run(command, "--format", "json")
    assert (ended.code, json.loads(ended.out)["error"], ended.err) == (ExitCode.CONFIG, "e", "")


@pytest.mark.parametrize("command", ["status", "plan", "reload", "stop"])
async def test_without_a_host_each_command_says_so(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Exit 69 and one sentence, whether the file exists or not."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    for arguments in ((command,), (command, "other.yaml"), (command, "--socket", "nothing.sock")):
        ended = await run(*arguments)
        assert (ended.code, ended.out) == (ExitCode.UNREACHABLE, "")
        assert ended.err.startswith("agenthost: no host ")
        assert ended.err.count("\n") == 1


async def test_host_is_found_while_its_file_is_broken(running: Running, run: Run) -> None:
    """That is when one wants to know what still runs."""
    running.file.write_text("a: [")
    assert (await run("status")).code == ExitCode.OK
    running.file.unlink()
    assert (await run("status")).code == ExitCode.OK


async def test_host_that_was_given_code_is_found_by_it_or_by_its_folder(
    running_code: RunCode, run: Run, tmp_path: Path
) -> None:
    """`agenthost dev sub/my_agent.py` runs without a file: the only such host here needs no name."""
    await running_code("sub/my_agent.py", "first")
    for arguments in (("status",), ("status", "sub/my_agent.py"), ("status", str(tmp_path / "sub" / "my_agent.py"))):
        ended = await run(*arguments)
        assert ended.code == ExitCode.OK
        assert "first" in ended.out
    for name in ("my_agent.py", "my_agent:server"):
        ended = await run("stop", name)
        assert ended.code == ExitCode.UNREACHABLE
        assert f"no host runs {name}; start one with `agenthost dev {name}`" in ended.err
    await running_code("my_agent:server", "second")
    assert "second" in (await run("status", "my_agent:server")).out
    ended = await run("stop")
    assert ended.code == ExitCode.UNREACHABLE
    assert "several run code: name my_agent:server or sub/my_agent.py" in ended.err


async def test_no_command_takes_the_host_of_code_for_that_of_a_file(
    running_code: RunCode, run: Run, tmp_path: Path
) -> None:
    """Where there is a file, or one is named, it is the file's host that is meant."""
    await running_code("my_agent.py", "scratch")
    (tmp_path / "agenthost.yaml").write_text("entrypoint: my_agent:entrypoint\n")
    for arguments in (("status",), ("status", "other.yaml")):
        ended = await run(*arguments)
        assert (ended.code, ended.out) == (ExitCode.UNREACHABLE, "")


async def test_host_is_found_at_its_configured_socket(running: Running, run: Run, tmp_path: Path) -> None:
    """`control.socket` of the file, and `--socket` when nothing else tells."""
    (tmp_path / "other.yaml").write_text("control: { socket: run.sock }\nentrypoint: other:entrypoint\n")
    (tmp_path / "other.py").write_text("async def entrypoint(ctx): ...\n")
    handler = Handler()
    handler.host = replace(handler.host, state=HostState.DRAINING)
    other = ControlSocket(tmp_path / "run.sock", handler)
    await other.start()
    for arguments in (("other.yaml",), ("--socket", "run.sock")):
        ended = await run("status", *arguments)
        assert (ended.code, "draining" in ended.out) == (ExitCode.OK, True), ended.err
    await other.stop()


HOST = """
import asyncio, sys
from pathlib import Path
from agenthost.control.server import ControlSocket
from tests.integration.control.conftest import Handler

class Host(Handler):
    def stop(self, *, now):
        print(now, flush=True)

async def run() -> None:
    print(await ControlSocket(Path(sys.argv[1]), Host()).start(), flush=True)
    await asyncio.sleep(60)

asyncio.run(run())
"""


async def test_stop_waits_until_the_host_has_ended(run: Run, tmp_path: Path) -> None:
    """1. It asks for a drain and says what it waits for. 2. The host takes its time. 3. It ends, and so does `stop`."""
    path = tmp_path / "a.sock"
    host = await asyncio.create_subprocess_exec(sys.executable, "-c", HOST, str(path), stdout=subprocess.PIPE)
    assert host.stdout is not None
    await host.stdout.readline()
    drain = asyncio.create_task(run("stop", "--socket", str(path)))
    assert await host.stdout.readline() == b"False\n"
    end = asyncio.create_task(run("stop", "--now", "--socket", str(path)))
    assert await host.stdout.readline() == b"True\n"
    assert not drain.done()
    assert not end.done()
    host.send_signal(signal.SIGKILL)
    await host.wait()
    assert [(await task).code for task in (drain, end)] == [ExitCode.OK, ExitCode.OK]
