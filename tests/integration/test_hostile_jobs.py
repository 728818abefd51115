"""Job code that is after the commands of its host; and a server whose name nobody knows."""

from pathlib import Path

import pytest

from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.support.agent_host import start_agent
from tests.support.protocols import RunHost

CODE = """
ASK = (
    "import os, socket, sys\\n"
    "if os.fork(): os._exit(0)\\n"
    "os.setsid()\\n"
    "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\\n"
    "s.send(b'POST /stop?now=1 HTTP/1.1\\\\r\\\\nHost: localhost\\\\r\\\\nConnection: close\\\\r\\\\n\\\\r\\\\n')\\n"
    "open(sys.argv[2] + '.part', 'wb').write(s.recv(4096))\\n"
    "os.rename(sys.argv[2] + '.part', sys.argv[2])\\n"
)

async def entrypoint(ctx: JobContext) -> None:
    environment = {} if ctx.job.metadata == "bare" else dict(os.environ)
    subprocess.run([sys.executable, "-c", ASK, "run.sock", "answer"], env=environment, check=True)
    await until("answer")
    tell(ctx, answer=Path("answer").read_text())
    await until("enough")
"""


@pytest.mark.parametrize("what", ["plain", "bare"])
async def test_no_job_commands_its_host(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path, what: str
) -> None:
    """Neither a daemon that a job has left behind, nor one without any variable of the host; the job goes on."""
    agent = await start_agent(run_host, fake_server, tmp_path, CODE, "control: { socket: run.sock }")
    job, _ = await agent.start_job(what)
    assert " 403 " in (await agent.wait_facts(job))["answer"].splitlines()[0]
    assert agent.host.events("draining") == []
    agent.let_go("enough")


async def test_name_that_does_not_resolve_is_told_with_what_to_check(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path
) -> None:
    """The host waits for it as for any server that is away."""
    env = {"LIVEKIT_URL": "ws://no-such-host.invalid:7880"}
    agent = await start_agent(run_host, fake_server, tmp_path, CODE, env=env, ready=False)
    lost = await agent.host.wait_event("registration lost", count=2, timeout=40)
    assert "host name no-such-host.invalid cannot be resolved" in lost.fields["reason"]
    assert "check LIVEKIT_URL" in lost.fields["reason"]
