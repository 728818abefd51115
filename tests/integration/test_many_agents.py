"""150 agents in one host: all are registered and answered, a reload changes all of them, and a drain ends.

More than the hundred connections that HTTP clients allow themselves, and enough for whatever grows with agents.
"""

import asyncio
import signal
from pathlib import Path

import pytest
from livekit.protocol import agent_dispatch

from agenthost.jobs import JobStatus
from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.testing.values import OfferResult
from tests.support.effort import LONG
from tests.support.host import HostProcess, write_agent
from tests.support.polling import poll
from tests.support.protocols import RunHost

AGENTS = 300 if LONG else 150
START_SECONDS = 120.0

CODE = """
import asyncio
from pathlib import Path


async def entrypoint(ctx):
    while ctx.job.metadata and not Path(ctx.job.metadata).exists():
        await asyncio.sleep(0.1)
"""
FAILS = """
async def entrypoint(ctx):
    raise ValueError("as always")
"""
HOST = """
version: 1
http: { listen: "127.0.0.1:0" }
num_idle_processes: 0
load: { max_jobs: 1000 }
agents:
"""


def write(folder: Path, edition: int) -> Path:
    lines = (
        f'  a{number}: {{ entrypoint: "my_agent:entrypoint", settings: {{ edition: {edition} }} }}\n'
        for number in range(AGENTS)
    )
    return write_agent(folder, CODE, HOST + "".join(lines))


async def offer_to_all(server: FakeLiveKitServer, metadata: str = "") -> list[OfferResult]:
    """A few at a time, as they come; a machine that forks for all of them at once would answer late."""
    results: list[OfferResult] = []
    for first in range(0, AGENTS, 10):
        names = [f"a{number}" for number in range(first, min(AGENTS, first + 10))]
        offers = (server.offer(f"room-{name}", agent_name=name, metadata=metadata) for name in names)
        results += await asyncio.gather(*offers)
    return results


async def check_run(server: FakeLiveKitServer, host: HostProcess, results: list[OfferResult]) -> None:
    refused = [f"{result.agent_name}: {result.outcome.value}" for result in results if not result.assigned]
    assert refused == [], host.output()
    for result in results:
        await server.wait_status(result.job_id, JobStatus.SUCCESS, timeout=30)


@pytest.mark.slow(40)
@pytest.mark.timeout(600)
async def test_many_agents_are_registered_served_reloaded_and_drained(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> None:
    """Nobody is forgotten, whatever their number."""
    host = await run_host(write(tmp_path, 1), server=fake_server)
    await host.wait_event("host started", timeout=START_SECONDS)
    assert sorted(worker.agent_name for worker in fake_server.workers) == sorted(f"a{n}" for n in range(AGENTS))
    _, ready = await host.http("/readyz")
    assert ready == "ready\n"
    await check_run(fake_server, host, await offer_to_all(fake_server))

    write(tmp_path, 2)
    host.signal(signal.SIGHUP)
    await host.wait_event("reloaded", timeout=START_SECONDS)
    assert not host.events("registration lost")
    staying = [await fake_server.offer(f"stays-{n}", agent_name=f"a{n}", metadata="leave") for n in (0, AGENTS - 1)]
    await check_run(fake_server, host, await offer_to_all(fake_server))

    host.signal(signal.SIGTERM)
    await host.wait_event("draining")
    for worker in fake_server.workers:
        await fake_server.wait_report(worker.agent_name, lambda report: not report.available)
    (tmp_path / "leave").touch()
    assert await host.exit_code(timeout=30) == 0
    await check_run(fake_server, host, staying)
    assert await host.wait_no_survivors() == []
    assert host.stderr == ""


@pytest.mark.slow(15)
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
    (tmp_path / "my_agent.py").write_text(FAILS)
    file = tmp_path / "agenthost.yaml"
    file.write_text(yaml)
    host = await run_host(file, server=fake_server)
    await host.wait_event("registered", count=AGENTS, timeout=START_SECONDS)
    assert len({worker.agent_name for worker in fake_server.workers}) == AGENTS
    await fake_server.join("room", "caller")
    request = agent_dispatch.CreateAgentDispatchRequest(agent_name="works", room="room")
    fake_server.rooms.dispatch(fake_server.rooms.room("room"), request)
    await poll(
        lambda: len([offer for offer in fake_server.offers if offer.agent_name == "works"]) == 2,
        timeout=15,
        what="the job that failed was not offered again",
    )
