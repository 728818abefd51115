"""From an offer to a job and back, on a real host: handlers, permissions, terminations, what is given back."""

import asyncio
import json
from pathlib import Path
from typing import Any

from livekit.protocol import agent

from agenthost.jobs import JobStatus, JobType
from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.testing.values import OfferOutcome, OfferResult
from tests.support.host import HostProcess, write_agent
from tests.support.polling import poll
from tests.support.protocols import RunHost

CODE = """
import asyncio
import json
import os
from pathlib import Path

from agenthost import JobContext, JobRequest


async def entrypoint(ctx: JobContext) -> None:
    note = {"claims": ctx.token_claims(), "settings": dict(ctx.settings)}
    Path("writing").write_text(json.dumps(note, default=vars))
    Path("writing").rename(ctx.job.id)
    ctx.add_shutdown_callback(ended)
    while not Path("leave").exists():
        await asyncio.sleep(0.02)


async def ended(reason: str) -> None:
    Path("ended").write_text(reason)


async def handler(req: JobRequest) -> None:
    match req.job.metadata:
        case "no":
            await req.reject(terminate=False)
        case "never":
            await req.reject()
        case "hang":
            await asyncio.sleep(3600)
        case "raise":
            raise RuntimeError("handler broke")
        case "die":
            os._exit(1)
        case _:
            await req.accept(name="From handler", attributes={"by": "handler"})
"""

YAML = """
version: 1
agent_name: a
entrypoint: my_agent:entrypoint
http: { listen: "127.0.0.1:0" }
limits: { shutdown: 1s }
"""


async def start(run_host: RunHost, folder: Path, server: FakeLiveKitServer, yaml: str = "") -> HostProcess:
    """A registered host of agent `a`, with the given lines in its file besides the usual ones."""
    load = "" if "load:" in yaml else "load: { max_jobs: 50 }\n"  # a busy machine is no reason to refuse here
    host = await run_host(write_agent(folder, CODE, f"{YAML}{load}{yaml}\n"), server=server)
    await host.wait_event("registered")
    return host


async def started(server: FakeLiveKitServer, room: str, **job: Any) -> str:
    """The id of a job that runs."""
    result = await server.offer(room, agent_name="a", **job)
    assert result.outcome is OfferOutcome.ASSIGNED, result
    await server.wait_status(result.job_id, JobStatus.RUNNING)
    return result.job_id


async def test_job_gets_the_servers_token_with_the_configured_permissions(
    run_any_host: RunHost, tmp_path: Path, fake_server: FakeLiveKitServer
) -> None:
    """Signed again with our key: identity kept, permissions ours, sources included; settings reach the code."""
    yaml = "permissions: { can_publish: false, can_publish_sources: [microphone], can_update_metadata: false }\n"
    await start(run_any_host, tmp_path, fake_server, f"{yaml}settings: {{ voice: alba }}")
    job_id = await started(fake_server, "r")
    note = json.loads(await poll(lambda: (tmp_path / job_id).exists() and (tmp_path / job_id).read_text(), timeout=5))
    assert note["claims"]["identity"] == f"agent-{job_id}"
    video = note["claims"]["video"]
    assert (video["can_publish"], video["can_subscribe"], video["can_update_own_metadata"]) == (False, True, False)
    assert video["can_publish_sources"] == ["microphone"]
    assert note["settings"] == {"voice": "alba"}
    (tmp_path / "leave").touch()


async def test_termination_ends_the_job_as_a_success_with_its_callbacks(
    run_any_host: RunHost, tmp_path: Path, fake_server: FakeLiveKitServer
) -> None:
    """Its dispatch was deleted, so the server ended it: its callbacks run, then exactly one JS_SUCCESS."""
    host = await start(run_any_host, tmp_path, fake_server)
    job_id = await started(fake_server, "r")
    await poll((tmp_path / job_id).exists, timeout=5)
    (dispatch,) = fake_server.rooms.list_dispatches("r")
    await fake_server.rooms.delete_dispatch("r", dispatch.id)
    await host.wait_event("job stopping", job_id=job_id, reason="terminated by the server")
    (tmp_path / "leave").touch()
    await fake_server.wait_status(job_id, JobStatus.SUCCESS)
    assert (tmp_path / "ended").read_text() == "terminated by the server"
    assert [update.status for update in fake_server.statuses(job_id)] == [JobStatus.RUNNING, JobStatus.SUCCESS]


async def test_handler_decides_after_the_rules(
    run_any_host: RunHost, tmp_path: Path, fake_server: FakeLiveKitServer
) -> None:
    """accept with its own name and the file's identity; reject; terminate; an exception is a counted reject."""
    yaml = 'requests: { handler: "my_agent:handler", accept: { identity: "me-{job.id}" } }'
    host = await start(run_any_host, tmp_path, fake_server, yaml)

    async def offer(metadata: str) -> OfferResult:
        return await fake_server.offer(f"r-{metadata}", agent_name="a", metadata=metadata)

    yes, no, never, broken = await asyncio.gather(*map(offer, ("yes", "no", "never", "raise")))
    assert yes.assigned
    assert (yes.answer.identity, yes.answer.name) == (f"me-{yes.job_id}", "From handler")
    assert yes.answer.attributes["by"] == "handler"
    assert (no.outcome, never.outcome) == (OfferOutcome.REJECTED, OfferOutcome.TERMINATED)
    assert broken.outcome is OfferOutcome.REJECTED
    rejected = await host.wait_event("offer rejected", reason="handler failed")
    assert "handler broke" in rejected.fields["detail"]
    _, metrics = await host.http("/metrics")
    assert 'reason="handler failed"' in metrics
    (tmp_path / "leave").touch()


async def test_hook_process_that_hangs_or_dies_is_replaced(
    run_any_host: RunHost, tmp_path: Path, fake_server: FakeLiveKitServer
) -> None:
    """Each costs its own offer, rejected without terminate and in time; the next offer meets a fresh process."""
    host = await start(run_any_host, tmp_path, fake_server, 'requests: { handler: "my_agent:handler" }')
    hung = await fake_server.offer("r1", agent_name="a", metadata="hang")
    assert hung.outcome is OfferOutcome.REJECTED
    await host.wait_event("offer rejected", reason="handler timeout")
    await host.wait_event("hook process replaced")
    died = await fake_server.offer("r2", agent_name="a", metadata="die")
    assert died.outcome is OfferOutcome.REJECTED
    assert (await fake_server.offer("r3", agent_name="a", metadata="yes")).assigned
    (tmp_path / "leave").touch()


async def test_offer_that_is_accepted_but_not_assigned_gives_its_slot_back(
    run_any_host: RunHost, tmp_path: Path, fake_server: FakeLiveKitServer
) -> None:
    """The socket is cut between answer and assignment: with one slot, the next offer after it is accepted."""
    host = await start(run_any_host, tmp_path, fake_server, "load: { max_jobs: 1 }")
    worker = await fake_server.wait_registered("a")
    offer = agent.ServerMessage()
    offer.availability.job.id = "AJ_lost"
    offer.availability.job.room.name = "lost"
    await worker.send(offer)
    await host.wait_event("job accepted", job_id="AJ_lost")
    fake_server.cut()
    await host.wait_event("job not assigned", job_id="AJ_lost")
    await host.wait_event("registered", count=2)
    assert (await fake_server.offer("r", agent_name="a")).assigned
    (tmp_path / "leave").touch()


async def test_job_types_and_deployment_are_registered_as_configured(
    run_host: RunHost, tmp_path: Path, fake_server: FakeLiveKitServer
) -> None:
    """publisher and participant workers have keys of their own on the server."""
    yaml = (
        "version: 1\nagents:\n"
        "  pub: { entrypoint: my_agent:entrypoint, type: publisher, deployment: blue }\n"
        "  part: { entrypoint: my_agent:entrypoint, type: participant }\n"
        "http: { listen: none }\n"
    )
    await run_host(write_agent(tmp_path, CODE, yaml), server=fake_server)
    publisher = await fake_server.wait_registered("pub", JobType.PUBLISHER, timeout=20)
    assert publisher.registration.deployment == "blue"
    assert (await fake_server.wait_registered("part", JobType.PARTICIPANT, timeout=20)).type is JobType.PARTICIPANT


async def test_secret_reaches_no_process_of_user_code(
    run_any_host: RunHost, tmp_path: Path, fake_server: FakeLiveKitServer
) -> None:
    """No variable of a job's environment names the pair; the URL is there."""
    code = CODE + (
        "\n\nasync def look(ctx: JobContext) -> None:\n"
        "    found = [name for name in os.environ if 'LIVEKIT_API' in name]\n"
        "    Path('writing').write_text(json.dumps([found, os.environ['LIVEKIT_URL']]))\n"
        "    Path('writing').rename('looked')\n"
    )
    yaml = YAML.replace("my_agent:entrypoint", "my_agent:look")
    host = await run_any_host(write_agent(tmp_path, code, yaml), server=fake_server)
    await host.wait_event("registered")
    await fake_server.offer("r", agent_name="a")
    text = await poll(lambda: (tmp_path / "looked").exists() and (tmp_path / "looked").read_text(), timeout=5)
    assert json.loads(text) == [[], fake_server.url]
    assert fake_server.api_secret not in host.output()
