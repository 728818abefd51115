"""The commands against a real host: what they say is what happens to it."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from agenthost.control.client import ControlClient
from agenthost.control.location import default_path
from agenthost.errors import ExitCode
from agenthost.jobs import JobStatus
from agenthost.status import HostState
from agenthost.testing.host_process import AGENTHOST
from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.testing.values import OfferOutcome
from tests.support.host import HostProcess, write_agent
from tests.support.protocols import RunHost
from tests.support.real_server import free_port

CODE = """
import asyncio


async def entrypoint(ctx):
    await asyncio.sleep(3600)
"""
YAML = """
agent_name: a
entrypoint: my_agent:entrypoint
env: { TOKEN: "${TOKEN}" }
load: { max_jobs: 5 }
http: { listen: none }
limits: { shutdown: 1s }
"""
SECRET = "sk-4711-do-not-show"

Command = Callable[..., Awaitable[tuple[int, str]]]


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """`await command("status", …)`: exit code and everything it said."""

    async def run(*arguments: str) -> tuple[int, str]:
        environ = os.environ | {"XDG_RUNTIME_DIR": str(tmp_path), "COLUMNS": "80"}
        process = await asyncio.create_subprocess_exec(
            *AGENTHOST,
            *arguments,
            cwd=tmp_path,
            env=environ,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        assert process.returncode is not None
        return process.returncode, said.decode()

    return run


@pytest.fixture
async def host(run_host: RunHost, tmp_path: Path, fake_server: FakeLiveKitServer) -> HostProcess:
    """A registered host with one running job."""
    environ = {"XDG_RUNTIME_DIR": str(tmp_path), "TOKEN": SECRET}
    host = await run_host(write_agent(tmp_path, CODE, YAML), server=fake_server, env=environ)
    await host.wait_event("host started")
    offered = await fake_server.offer("room", agent_name="a")
    assert offered.outcome is OfferOutcome.ASSIGNED
    await fake_server.wait_status(offered.job_id, JobStatus.RUNNING)
    return host


async def healthy(address: str) -> bool:
    """Whether the host answers there."""
    try:
        async with aiohttp.ClientSession() as client, client.get(f"http://{address}/healthz") as answer:
            return answer.status == 200
    except aiohttp.ClientConnectionError:
        return False


async def test_http_moves_to_another_address_of_the_same_port(
    host: HostProcess, command: Command, tmp_path: Path
) -> None:
    """Also where both cannot be open at a time: to all addresses, to one of them again, and to none."""
    file, port = tmp_path / "agenthost.yaml", free_port()
    for listen, answers in (
        (f"127.0.0.1:{port}", ("127.0.0.1",)),
        (f"0.0.0.0:{port}", ("127.0.0.1", "127.0.0.2")),
        (f"127.0.0.2:{port}", ("127.0.0.2",)),
        ("none", ()),
    ):
        file.write_text(YAML.replace("listen: none", f'listen: "{listen}"'))
        code, said = await command("reload")
        assert (code, "http.listen" in said) == (0, True), said
        assert [at for at in ("127.0.0.1", "127.0.0.2") if await healthy(f"{at}:{port}")] == list(answers), listen
    assert not host.events("http not changed")


async def test_http_that_cannot_move_stays_and_the_reload_says_so(
    host: HostProcess, command: Command, tmp_path: Path
) -> None:
    """Somebody else has one of the addresses: the old one answers on, and no change is told that was not made."""
    file, port = tmp_path / "agenthost.yaml", free_port()
    file.write_text(YAML.replace("listen: none", f'listen: "127.0.0.1:{port}"'))
    assert (await command("reload"))[0] == 0
    applied = len(host.events("change applied"))
    everywhere = YAML.replace("listen: none", f'listen: "0.0.0.0:{port}"').replace("max_jobs: 5", "max_jobs: 6")
    file.write_text(everywhere)
    with socket.create_server(("127.0.0.2", port)):
        code, said = await command("reload")
    assert (code, f"http.listen stays as it was: HTTP: port {port} of 0.0.0.0 is taken" in said) == (1, True), said
    assert "→" not in "".join(line for line in said.splitlines() if "0.0.0.0" in line)
    assert await healthy(f"127.0.0.1:{port}")
    told = [each["what"] for line in host.events("change applied")[applied:] for each in line.fields["changed"]]
    assert told == ["load.max_jobs"]
    reloaded = host.events("reloaded")[-1]
    assert (reloaded.level, list(reloaded.fields["undone"])) == ("ERROR", ["http.listen"])
    assert "http.listen not changed" in (await command("status"))[1]
    code, said = await command("reload")  # it is free now
    assert (code, await healthy(f"127.0.0.2:{port}")) == (0, True), said


def left(folder: Path) -> list[str]:
    """What stands in the runtime folder."""
    return sorted(path.suffix for path in (folder / "agenthost").iterdir())


async def test_plan_says_what_reload_then_does(host: HostProcess, tmp_path: Path, command: Command) -> None:
    """1. No changes. 2. An edit of file and code is planned, and nothing happens. 3. Reloaded, it is the same list.
    4. The status shows both generations with their jobs. No value of the environment is shown by any of them."""
    assert await command("plan") == (ExitCode.OK, "no changes\n")
    (tmp_path / "agenthost.yaml").write_text(YAML.replace("5", "6").replace('"${TOKEN}"', '"x${TOKEN}"'))
    (tmp_path / "my_agent.py").write_text(CODE + "VERSION = 2\n")
    code, planned = await command("plan")
    assert code == ExitCode.CHANGES
    assert not host.events("reloaded")
    code, done = await command("reload")
    assert code == ExitCode.OK
    assert done.split("\n\n")[0] == planned.split("\n\n")[0]
    assert "new generation" in done
    _, text = await command("status", "--format", "json")
    (agent,) = json.loads(text)["agents"]
    assert [(one["number"], one["jobs"], one["current"]) for one in agent["generations"]] == [
        (2, 0, True),
        (1, 1, False),
    ]
    assert json.loads(text)["last_reload"]["ok"] is True
    _, shown = await command("status")
    assert "1 of 6" in shown
    assert SECRET not in planned + done + text + shown


async def test_broken_reload_shows_the_line_and_the_status_remembers(
    host: HostProcess, tmp_path: Path, command: Command
) -> None:
    """Exit 78; the host goes on, and `status` says that the file is not what runs."""
    (tmp_path / "agenthost.yaml").write_text(YAML + "nonsense: 1\n")
    code, said = await command("reload")
    assert code == ExitCode.CONFIG
    assert "nonsense: 1" in said
    assert "everything goes on as it was" in said
    code, shown = await command("status")
    assert code == ExitCode.OK
    assert "✗ reload" in shown


async def test_stop_drains_and_refuses_reloads_and_stop_now_ends(
    host: HostProcess, tmp_path: Path, command: Command
) -> None:
    """1. `stop` waits for the job. 2. A second one is no second signal. 3. `--now` ends the job, and both commands."""
    first = asyncio.create_task(command("stop"))
    await host.wait_event("draining")
    client = ControlClient(default_path(tmp_path / "agenthost.yaml", {"XDG_RUNTIME_DIR": str(tmp_path)}))
    assert (await asyncio.to_thread(client.stop, now=False)).state is HostState.DRAINING
    code, said = await command("reload")
    assert (code, "draining" in said) == (ExitCode.FAILURE, True)
    assert host.running
    assert not host.events("ending jobs")
    assert await command("stop", "--now") == (ExitCode.OK, "the host has ended\n")
    assert await host.exit_code() == ExitCode.JOBS_ENDED
    assert (await first)[0] == ExitCode.OK
    assert left(tmp_path) == []


async def test_second_host_of_the_file_is_warned_and_runs(
    host: HostProcess, run_host: RunHost, tmp_path: Path, fake_server: FakeLiveKitServer, command: Command
) -> None:
    """The commands stay with the first."""
    environ = {"XDG_RUNTIME_DIR": str(tmp_path), "TOKEN": SECRET}
    second = await run_host(tmp_path / "agenthost.yaml", server=fake_server, env=environ)
    await second.wait_event("no control socket")
    await second.wait_event("host started")
    _, text = await command("status", "--format", "json")
    assert json.loads(text)["pid"] == host.pid
    second.signal(signal.SIGTERM)
    assert await second.exit_code() == ExitCode.OK
    assert (await command("status"))[0] == ExitCode.OK


async def test_what_a_killed_host_leaves_is_removed_by_the_next(
    host: HostProcess, run_host: RunHost, tmp_path: Path, fake_server: FakeLiveKitServer, command: Command
) -> None:
    """SIGKILL leaves the socket; nobody answers on it; the next host of the file takes its place."""
    host.signal(signal.SIGKILL)
    await host.exit_code()
    assert left(tmp_path) == [".lock", ".sock"]
    assert (await command("status"))[0] == ExitCode.UNREACHABLE
    environ = {"XDG_RUNTIME_DIR": str(tmp_path), "TOKEN": SECRET}
    following = await run_host(tmp_path / "agenthost.yaml", server=fake_server, env=environ)
    await following.wait_event("host started")
    _, text = await command("status", "--format", "json")
    assert json.loads(text)["pid"] == following.pid
