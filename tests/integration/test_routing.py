"""Routing in a real host: who answers, whose code runs, and what a handler has to do with it."""

from pathlib import Path

from agenthost.jobs import JobStatus
from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.testing.values import OfferOutcome
from tests.support.host import write_agent
from tests.support.protocols import RunHost

CODE = """
async def gold(ctx):
    print("gold code in", ctx.room.name, ctx.settings["voice"], flush=True)


async def handler(request):
    if request.job.room.name.startswith("bad-"):
        await request.reject()
    else:
        await request.accept(name="Named by the handler")
"""

YAML = """
http: { listen: none }
load: { max_jobs: 20 }
agents:
  front-door:
    agent_name: ""
    requests:
      accept: { attributes: { by: "{agent.id}" } }
      handler: my_agent:handler
      rules:
        - { name: gold, when: { job.metadata.tier: gold }, agent: gold }
      otherwise: reject
  gold: { entrypoint: "my_agent:gold", register: false, settings: { voice: alba } }
"""


async def test_agent_that_only_routes_answers_for_others(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> None:
    """1. The receiver needs no entrypoint, its handler is asked all the same. 2. The target's code runs with the
    target's settings. 3. Rules come before the handler, and what the handler does not say comes from `accept`."""
    host = await run_host(write_agent(tmp_path, CODE, YAML), server=fake_server)
    await host.wait_event("registered")
    assert len(host.events("registered")) == 1

    good = await fake_server.offer("good-1", metadata='{"tier": "gold"}')
    assert good.outcome is OfferOutcome.ASSIGNED
    await fake_server.wait_status(good.job_id, JobStatus.SUCCESS)
    assert await host.wait_event("gold code in good-1 alba", agent="gold")
    assert (good.answer.name, dict(good.answer.attributes)) == ("Named by the handler", {"by": "gold"})

    bad = await fake_server.offer("bad-1", metadata='{"tier": "gold"}')
    assert (await host.wait_event("offer rejected", room="bad-1")).fields["reason"] == "handler"
    assert bad.outcome is not OfferOutcome.ASSIGNED
    await fake_server.offer("other")
    assert (await host.wait_event("offer rejected", room="other")).fields["reason"] == "otherwise"


async def test_starter_runs(tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost) -> None:
    """What `agenthost init` writes serves a room at once, and leaves recordings alone."""
    init = await run_host(tmp_path, command="init")
    assert await init.exit_code() == 0
    settings = ("--set", "http.listen=none", "--set", "load.cpu=null")  # a busy machine is no reason to fail
    host = await run_host(tmp_path / "agenthost.yaml", *settings, server=fake_server)
    await host.wait_event("registered")
    lobby = await fake_server.offer("lobby")
    assert lobby.answer.name == "My agent"
    await fake_server.wait_status(lobby.job_id, JobStatus.RUNNING)
    recording = await fake_server.offer("rec-1")
    assert recording.outcome is OfferOutcome.TERMINATED
