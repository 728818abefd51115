"""What a host answers to an orchestrator, over its whole life: scenario 7."""

import asyncio
import signal
from pathlib import Path

from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.testing.values import Faults
from tests.support.agent_host import AgentHost, start_agent
from tests.support.protocols import RunHost

CODE = """
def prewarm(process):
    if Path("broken").exists():
        raise RuntimeError("no process gets ready")

async def entrypoint(ctx: JobContext) -> None:
    await until("enough")
"""
YAML = """
prewarm: my_agent:prewarm
num_idle_processes: 1
http: { listen: "127.0.0.1:0" }
"""


async def answers(agent: AgentHost) -> tuple[int, int]:
    """Of /readyz and /healthz."""
    return (await agent.host.http("/readyz"))[0], (await agent.host.http("/healthz"))[0]


async def test_not_ready_whenever_no_job_can_come_and_healthy_all_along(
    run_any_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path
) -> None:
    """Unregistered, registered, reconnecting, with processes that do not start, mended, draining. A job runs meanwhile,
    which a failed liveness probe would end."""
    fake_server.faults = Faults(refuse_with=503)
    agent = await start_agent(run_any_host, fake_server, tmp_path, CODE, YAML, ready=False)
    await agent.host.wait_event("registration failed", timeout=30)
    assert await answers(agent) == (503, 200)

    fake_server.faults = Faults()
    await agent.host.wait_event("registered", timeout=30)
    assert await answers(agent) == (200, 200)

    fake_server.faults = Faults(refuse_with=503)
    fake_server.cut()
    await agent.host.wait_event("registration lost")
    assert await answers(agent) == (503, 200)
    fake_server.faults = Faults()
    await agent.host.wait_event("registered", count=2, timeout=30)

    await agent.wait_idle(1, timeout=30)
    agent.let_go("broken")
    job, _ = await agent.start_job()  # takes the idle process; no other gets ready
    await agent.host.wait_event("process failed", count=3, timeout=30)
    assert await answers(agent) == (503, 200)
    assert "job processes do not start" in (await agent.host.http("/readyz"))[1]

    (tmp_path / "broken").unlink()
    async with asyncio.timeout(40):
        while True:
            if await answers(agent) == (200, 200):
                break
            await asyncio.sleep(0.1)

    agent.host.signal(signal.SIGTERM)
    await agent.host.wait_event("draining")
    assert await answers(agent) == (503, 200)
    assert agent.host.events("job ended") == []
    agent.let_go("enough")
    assert await agent.host.exit_code() == 0
    assert agent.host.events("job ended", job_id=job, outcome="succeeded")
