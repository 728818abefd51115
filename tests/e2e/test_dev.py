"""`agenthost dev` with a LiveKit server of its own."""

import signal
from pathlib import Path

import psutil
import pytest

from agenthost.errors import ExitCode
from tests.support.host import HostProcess, write_agent
from tests.support.protocols import RunHost

pytestmark = pytest.mark.e2e

JOINS = """
async def entrypoint(ctx):
    await ctx.connect()
"""
FILE = """
entrypoint: my_agent:entrypoint
log_format: json
"""


@pytest.fixture
def environ(tmp_path: Path, livekit_binary: Path) -> dict[str, str]:
    (tmp_path / "run").mkdir(mode=0o700)
    return {"XDG_RUNTIME_DIR": str(tmp_path / "run"), "AGENTHOST_LIVEKIT_SERVER": str(livekit_binary)}


def _server_of(host: HostProcess) -> psutil.Process:
    (server,) = [child for child in psutil.Process(host.pid).children() if "livekit-server" in child.name()]
    return server


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
    (connection,) = (tmp_path / "run" / "agenthost").glob("*.env")
    secret = dict(line.split("=", 1) for line in connection.read_text().splitlines())["LIVEKIT_API_SECRET"]
    host.signal(signal.SIGTERM)
    assert await host.exit_code() == ExitCode.OK
    assert secret not in host.output()
