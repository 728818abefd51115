"""More agents in one host than an HTTP client keeps connections by default: each has a socket of its own."""

from pathlib import Path

from livekit.protocol import agent_dispatch

from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.support.polling import poll
from tests.support.protocols import RunHost

AGENTS = 150

CODE = """
async def entrypoint(ctx):
    raise ValueError("as always")
"""


async def test_every_agent_registers_and_recovery_calls_the_server_besides(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> None:
    """Whatever the number of agents: the last has its socket, and a job that fails is dispatched anew."""
    doors = "\n".join(
        f"  door-{number}: {{ requests: {{ rules: [{{ name: all, agent: works }}], otherwise: reject }} }}"
        for number in range(AGENTS - 1)
    )
    restart = "restart: { policy: on-failure, attempts: 1, backoff: 50ms }"
    yaml = f"""
version: 1
http: {{ listen: none }}
agents:
  works: {{ entrypoint: "my_agent:entrypoint", num_idle_processes: 0, {restart} }}
{doors}
"""
    (tmp_path / "my_agent.py").write_text(CODE)
    file = tmp_path / "agenthost.yaml"
    file.write_text(yaml)
    host = await run_host(file, server=fake_server)
    await host.wait_event("registered", count=AGENTS, timeout=30)
    assert len({worker.agent_name for worker in fake_server.workers}) == AGENTS
    await fake_server.join("room", "caller")
    request = agent_dispatch.CreateAgentDispatchRequest(agent_name="works", room="room")
    fake_server.rooms.dispatch(fake_server.rooms.room("room"), request)
    await poll(
        lambda: len([offer for offer in fake_server.offers if offer.agent_name == "works"]) == 2,
        timeout=15,
        what="the job that failed was not offered again",
    )
