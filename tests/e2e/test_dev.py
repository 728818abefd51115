"""`agenthost dev` with a LiveKit server of its own."""

import signal
from pathlib import Path

import psutil
import pytest
from livekit import api

from agenthost.errors import ExitCode
from tests.support.host import HostProcess, write_agent
from tests.support.http_proxy import Proxy
from tests.support.protocols import RunHost
from tests.support.real_server import RealLiveKitServer

pytestmark = pytest.mark.e2e

JOINS = """
async def entrypoint(ctx):
    await ctx.connect()
"""
SHOWS_PROXY = """
import logging, os

async def entrypoint(ctx):
    await ctx.connect()
    logging.getLogger("mine").info("the environment says", extra={"proxy": os.environ.get("HTTP_PROXY")})
"""
FILE = """
entrypoint: my_agent:entrypoint
log_format: json
"""
NAMED = f"agent_name: shows-proxy{FILE}"


@pytest.fixture
def environ(tmp_path: Path, livekit_binary: Path) -> dict[str, str]:
    (tmp_path / "run").mkdir(mode=0o700)
    return {"XDG_RUNTIME_DIR": str(tmp_path / "run"), "AGENTHOST_LIVEKIT_SERVER": str(livekit_binary)}


def _server_of(host: HostProcess) -> psutil.Process:
    (server,) = [child for child in psutil.Process(host.pid).children() if "livekit-server" in child.name()]
    return server


def _connection(folder: Path) -> dict[str, str]:
    """The variables of the server that runs there."""
    (file,) = (folder / "run" / "agenthost").glob("*.env")
    return dict(line.split("=", 1) for line in file.read_text().splitlines())


async def test_dev_brings_its_server_and_takes_it_along(
    run_host: RunHost, tmp_path: Path, environ: dict[str, str]
) -> None:
    """One command, a server, an agent registered with it; Ctrl-C ends all, and no file stays."""
    host = await run_host(write_agent(tmp_path, JOINS, FILE), command="dev", env=environ)
    await host.wait_event("registered", agent="agent")
    server = _server_of(host)
    host.signal(signal.SIGINT, group=True)
    assert await host.exit_code() == ExitCode.OK
    assert not server.is_running()
    assert list((tmp_path / "run" / "agenthost").iterdir()) == []


async def test_dev_runs_a_job_to_its_end(
    run_any_host: RunHost, run_host: RunHost, tmp_path: Path, environ: dict[str, str]
) -> None:
    """As a first hour goes: one command here, another in a second terminal, and Ctrl-C. Nothing is complained of."""
    host = await run_any_host(write_agent(tmp_path, JOINS, f"agent_name: first{FILE}"), command="dev", env=environ)
    await host.wait_event("registered")
    command = await run_host("first", "--room", "r", command="dispatch", env=environ)
    assert await command.exit_code() == ExitCode.OK, command.output()
    connection = _connection(tmp_path)
    async with api.LiveKitAPI(*(connection[f"LIVEKIT_{name}"] for name in ("URL", "API_KEY", "API_SECRET"))) as client:
        await client.room.delete_room(api.DeleteRoomRequest(room="r"))
    assert (await host.wait_event("job ended")).fields["outcome"] == "succeeded"
    host.signal(signal.SIGINT, group=True)
    assert await host.exit_code() == ExitCode.OK
    ours = [line for line in host.lines if line.name.startswith("agenthost")]
    assert [line.message for line in ours if line.level not in ("DEBUG", "INFO")] == []
    assert host.stderr == ""


async def test_proxy_of_the_environment_is_not_for_the_own_server(
    run_host: RunHost, tmp_path: Path, environ: dict[str, str]
) -> None:
    """The host registers, and the job joins its room: livekit's native library would have asked the proxy."""
    async with Proxy(refuses=True).open() as proxy:
        environ |= dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "http_proxy", "https_proxy"), proxy.url)
        host = await run_host(write_agent(tmp_path, SHOWS_PROXY, NAMED), command="dev", env=environ)
        await host.wait_event("registered")
        command = await run_host("shows-proxy", "--room", "r", command="dispatch", env=environ)
        assert await command.exit_code() == ExitCode.OK, command.output()
        await host.wait_event("job connected")
        assert (await host.wait_event("the environment says")).fields["proxy"] == proxy.url
        assert proxy.targets == []


async def test_proxy_of_the_file_is_the_jobs_too(
    run_host: RunHost, tmp_path: Path, livekit_server: RealLiveKitServer
) -> None:
    """Whatever NO_PROXY says: the host's websocket, and the job's connection to its room."""
    async with Proxy().open() as proxy:
        yaml = f"{NAMED}livekit: {{ proxy: '{proxy.url}' }}\n"
        env = {"NO_PROXY": "*"}
        host = await run_host(write_agent(tmp_path, SHOWS_PROXY, yaml), server=livekit_server, env=env)
        await host.wait_event("registered")
        (asked,) = proxy.targets
        command = await run_host("shows-proxy", "--room", tmp_path.name, command="dispatch", server=livekit_server)
        assert await command.exit_code() == ExitCode.OK, command.output()
        await host.wait_event("job connected")
        assert len(proxy.targets) > 1, asked
        await host.close()


async def test_nothing_survives_a_killed_dev_and_the_next_one_cleans_up(
    run_host: RunHost, tmp_path: Path, environ: dict[str, str]
) -> None:
    """SIGKILL: the kernel ends the server; the key files stay, and the next start removes them."""
    file = write_agent(tmp_path, JOINS, FILE)
    host = await run_host(file, command="dev", env=environ)
    await host.wait_event("registered", agent="agent")
    host.signal(signal.SIGKILL)
    await host.exit_code()
    assert await host.wait_no_survivors() == []
    left = set((tmp_path / "run" / "agenthost").iterdir())
    assert left
    again = await run_host(file, command="dev", env=environ)
    await again.wait_event("registered", agent="agent")
    keys = {path for path in left if path.suffix == ".yaml"}
    assert keys
    assert not [path for path in keys if path.exists()]


async def test_server_that_dies_is_told(run_host: RunHost, tmp_path: Path, environ: dict[str, str]) -> None:
    """Otherwise one would only see a connection that is lost, again and again."""
    host = await run_host(write_agent(tmp_path, JOINS, FILE), command="dev", env=environ)
    await host.wait_event("registered", agent="agent")
    _server_of(host).kill()
    line = await host.wait_event("the local LiveKit server ended by itself")
    assert line.fields["exit_code"] == -signal.SIGKILL
    assert "agenthost dev" in line.fields["hint"]


async def test_no_secret_of_the_server_is_logged(run_host: RunHost, tmp_path: Path, environ: dict[str, str]) -> None:
    """Neither on stdout nor on stderr, at the most talkative level."""
    host = await run_host(write_agent(tmp_path, JOINS, FILE), "--log-level", "TRACE", command="dev", env=environ)
    await host.wait_event("registered", agent="agent")
    secret = _connection(tmp_path)["LIVEKIT_API_SECRET"]
    host.signal(signal.SIGTERM)
    assert await host.exit_code() == ExitCode.OK
    assert secret not in host.output()
