"""Nothing that Python says will go away is used, in any process of a host."""

import signal
from pathlib import Path

import pytest

import agenthost
from agenthost.errors import ExitCode
from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.support import deprecated
from tests.support.host import write_agent
from tests.support.protocols import RunHost

CODE = """
import warnings, agenthost
from threading import Thread

def prewarm(proc): pass
def load(): return 0.1
async def request(req): await req.accept()
async def entrypoint(ctx):
    Thread(target=print).start()
    ctx.add_shutdown_callback(lambda: None)
    {more}
"""
FILE = """
agent_name: all-parts
entrypoint: my_agent:entrypoint
prewarm: my_agent:prewarm
requests: { handler: my_agent:request }
load: { custom: { callable: my_agent:load, limit: 0.9 } }
log_format: json
http: { listen: "127.0.0.1:0" }
"""
USES = "warnings.warn_explicit('old', DeprecationWarning, agenthost.__file__, 1, 'agenthost')"


@pytest.fixture
def uses(tmp_path: Path) -> Path:
    """The file that gets them."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(deprecated.CODE)
    return tmp_path / "uses"


async def _run(run_any_host: RunHost, server: FakeLiveKitServer, folder: Path, more: str) -> None:
    """A host with a job, from its start to its end."""
    env = {"PYTHONPATH": str(folder / "site"), deprecated.FILE: str(folder / "uses")}
    host = await run_any_host(write_agent(folder, CODE.format(more=more), FILE), server=server, env=env)
    await host.wait_event("registered")
    offered = await server.offer("room", agent_name="all-parts")
    await host.wait_event("job ended", job_id=offered.job_id)
    host.signal(signal.SIGTERM)
    assert await host.exit_code() == ExitCode.OK


async def test_a_host_and_its_job_use_nothing_that_is_deprecated(
    run_any_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path, uses: Path
) -> None:
    """With every kind of process that there is."""
    await _run(run_any_host, fake_server, tmp_path, "pass")
    assert deprecated.recorded(uses) == []


async def test_one_use_in_a_job_is_told(
    run_any_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path, uses: Path
) -> None:
    """So that the test above can fail."""
    await _run(run_any_host, fake_server, tmp_path, USES)
    (use,) = deprecated.recorded(uses)
    assert use.startswith(f"{agenthost.__file__}:1: DeprecationWarning: old ") and "test_one_use" in use
