"""A LiveKit server that refuses, disappears, falls silent or talks nonsense, and a real host that copes."""

import resource
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from livekit.protocol import models

from agenthost.jobs import JobStatus, JobType
from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.testing.values import Faults, OfferOutcome
from tests.support.host import HostProcess, write_agent
from tests.support.polling import poll
from tests.support.protocols import RunHost

CODE = """
import asyncio
from pathlib import Path

from agenthost import JobContext


async def entrypoint(ctx: JobContext) -> None:
    while not Path("enough").exists():
        await asyncio.sleep(0.02)
"""

YAML = """
version: 1
agent_name: steady
entrypoint: my_agent:entrypoint
num_idle_processes: 1
load: { max_jobs: 50 }
http: { listen: "127.0.0.1:0" }
"""


@pytest.fixture
def agent_file(tmp_path: Path) -> Path:
    """An agent whose job goes on until the file `enough` appears."""
    return write_agent(tmp_path, CODE, YAML)


@pytest.fixture
async def job(
    agent_file: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> AsyncIterator[tuple[HostProcess, str]]:
    """A registered host with one running job; the job is told to end afterwards."""
    host = await run_host(agent_file, server=fake_server)
    await host.wait_event("registered")
    job_id = (await fake_server.offer("room", agent_name="steady")).job_id
    await fake_server.wait_status(job_id, JobStatus.RUNNING)
    yield host, job_id
    (agent_file.parent / "enough").touch()


async def end_job(host: HostProcess, job_id: str) -> None:
    """Let the job end; it must have gone well."""
    (Path(host.cwd) / "enough").touch()
    ended = await host.wait_event("job ended", job_id=job_id)
    assert ended.fields["outcome"] == "succeeded"


async def readiness(host: HostProcess) -> int:
    return (await host.http("/readyz"))[0]


# ── credentials ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("command", ["start", "dev"])
async def test_wrong_secret_ends_the_host_and_names_key_and_url(
    agent_file: Path, fake_server: FakeLiveKitServer, run_host: RunHost, command: str
) -> None:
    """Exit 77 at the first refusal; the key's name and the URL are told, the secret is not.

    Five seconds are enough for it, counted as time of a processor: a busy machine may take longer.
    """
    secret = "a wrong secret, long enough to be signed with"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    host = await run_host(agent_file, command=command, server=fake_server, env={"LIVEKIT_API_SECRET": secret})
    assert await host.exit_code(timeout=30) == 77
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 5.0
    said = host.output()
    assert fake_server.api_key in said
    assert fake_server.url in said
    assert secret not in said
    assert "Traceback" not in said
    assert fake_server.refusals == 1


async def test_credentials_refused_later_are_retried(
    job: tuple[HostProcess, str], fake_server: FakeLiveKitServer
) -> None:
    """After a first success a refusal ends nothing: not ready, the job goes on, and it registers once it may."""
    host, job_id = job
    fake_server.faults = Faults(refuse_with=401)
    fake_server.cut()
    await fake_server.wait_refusals(2)
    assert await readiness(host) == 503
    fake_server.faults = Faults()
    await host.wait_event("registered", count=2)
    await end_job(host, job_id)


# ── nobody there ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_absent_server_is_tried_until_it_comes(
    agent_file: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> None:
    """`start` waits for its server, alive and not ready; it registers soon after the server appears."""
    await fake_server.stop()
    host = await run_host(agent_file, server=fake_server)
    lost = await host.wait_event("registration failed")
    assert fake_server.url.removeprefix("ws://") in lost.fields["reason"]
    await host.wait_event("registration failed", count=2)
    assert (await readiness(host), (await host.http("/healthz"))[0]) == (503, 200)
    await fake_server.start()
    await host.wait_event("registered", agent="steady")
    assert await readiness(host) == 200
    assert host.events("registration lost") == []  # there was none to lose


async def test_server_error_is_retried_and_no_refusal(
    agent_file: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> None:
    """A 503 says nothing about the credentials."""
    fake_server.faults = Faults(refuse_with=503)
    host = await run_host(agent_file, server=fake_server)
    await fake_server.wait_refusals(2)
    fake_server.faults = Faults()
    await host.wait_event("registered")


async def test_delay_grows_when_the_server_accepts_and_closes(
    agent_file: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> None:
    """An accepted socket is no success: the pauses between attempts get longer, so it is never a busy loop."""
    fake_server.faults = Faults(close=True)
    host = await run_host(agent_file, server=fake_server)
    await host.wait_event("registration failed", count=4, timeout=20)
    delays = [line.fields["retry_in_seconds"] for line in host.events("registration failed")]
    assert delays[0] <= 0.5
    assert delays[3] >= 4 * 0.5
    assert fake_server.connections <= 4


# ── a server that broke ──────────────────────────────────────────────────────────────────────────────────────


async def test_job_outlives_a_broken_connection(job: tuple[HostProcess, str], fake_server: FakeLiveKitServer) -> None:
    """The host ends no job because of the connection, says that it lost it, and comes back by itself."""
    host, job_id = job
    fake_server.cut()
    await host.wait_event("registration lost")
    await host.wait_event("registered", count=2)
    assert host.events("job ended") == []
    assert (await fake_server.offer("second", agent_name="steady")).assigned
    await end_job(host, job_id)


async def test_job_outlives_a_restart_of_the_server(
    job: tuple[HostProcess, str], fake_server: FakeLiveKitServer
) -> None:
    """A server that forgot everything gets a new registration under a new worker id."""
    host, job_id = job
    (before,) = fake_server.workers
    await fake_server.restart()
    after = await fake_server.wait_registered("steady")
    assert after.id != before.id
    await end_job(host, job_id)


async def test_garbage_is_passed_over(job: tuple[HostProcess, str], fake_server: FakeLiveKitServer) -> None:
    """Bytes that are no message: said without a traceback, and the server keeps the host and its jobs in mind."""
    host, job_id = job
    await fake_server.send_garbage()
    await host.wait_event("message not understood")
    await end_job(host, job_id)
    assert not host.events("registration lost")
    assert "Traceback" not in host.output()


async def test_garbage_instead_of_a_registration_is_retried(
    agent_file: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> None:
    """The first frame is nonsense: not registered, not ready, tried again."""
    fake_server.faults = Faults(garbage=True)
    host = await run_host(agent_file, server=fake_server)
    await host.wait_event("registration failed", count=2)
    assert await readiness(host) == 503
    fake_server.faults = Faults()
    await host.wait_event("registered")
    assert "Traceback" not in host.output()


@pytest.mark.slow(11)
async def test_silent_server_is_given_up_after_ten_seconds(
    agent_file: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> None:
    """No answer to register: a time-out of 10 s, a line that says so, not ready all along, and another attempt."""
    fake_server.faults = Faults(silent=True)
    host = await run_host(agent_file, server=fake_server)
    await fake_server.wait_connections(1)
    began = time.monotonic()
    assert await readiness(host) == 503
    lost = await host.wait_event("registration failed", timeout=12)
    assert 9.5 < lost.at - began < 11.5
    assert "10 s" in lost.fields["reason"]
    fake_server.faults = Faults()
    await host.wait_event("registered")


@pytest.mark.slow(20)
async def test_half_open_connection_is_noticed(job: tuple[HostProcess, str], fake_server: FakeLiveKitServer) -> None:
    """TCP believes in it and nothing passes: our own ping finds out, and the host registers anew."""
    host, job_id = job
    fake_server.freeze()
    lost = await host.wait_event("registration lost", timeout=25)
    assert "silent" in lost.fields["reason"]
    await host.wait_event("registered", count=2)
    await end_job(host, job_id)


async def test_slow_registration_is_waited_for(
    agent_file: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> None:
    """An answer that takes a second is an answer: one connection, no loss."""
    fake_server.faults = Faults(register_delay=1.0)
    host = await run_host(agent_file, server=fake_server)
    await host.wait_event("registered")
    assert (fake_server.connections, host.events("registration failed")) == (1, [])


async def test_accepted_offer_gives_its_slot_back_when_the_connection_breaks(
    agent_file: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> None:
    """With one slot in all: accepted, not assigned, disconnected; after the reconnect the slot is free at once."""
    host = await run_host(agent_file, "--set", "load.max_jobs=1", server=fake_server)
    await host.wait_event("registered")
    fake_server.faults = Faults(lose_assignments=True)
    assert (await fake_server.offer("room", agent_name="steady")).outcome is OfferOutcome.LOST
    fake_server.faults = Faults()
    fake_server.cut()
    await host.wait_event("registered", count=2)
    assert (await fake_server.offer("room", agent_name="steady")).assigned
    (agent_file.parent / "enough").touch()


async def test_accepted_offer_without_assignment_gives_its_slot_back_after_four_seconds(
    agent_file: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> None:
    """Until then the slot counts as used, so a second offer is refused."""
    host = await run_host(agent_file, "--set", "load.max_jobs=1", server=fake_server)
    await host.wait_event("registered")
    fake_server.faults = Faults(lose_assignments=True)
    lost = await fake_server.offer("room", agent_name="steady")
    fake_server.faults = Faults()
    assert not (await fake_server.offer("room", agent_name="steady")).assigned
    given_back = await host.wait_event("job not assigned", job_id=lost.job_id)
    assert 3.9 < given_back.at - lost.answer.answered_at < 5
    worker = await fake_server.wait_registered("steady")
    await poll(lambda: worker.available, timeout=5, what="the worker still reports to be full")
    assert (await fake_server.offer("room", agent_name="steady")).assigned
    (agent_file.parent / "enough").touch()


async def test_job_with_a_forged_token_fails_and_nothing_is_signed_for_it(
    job: tuple[HostProcess, str], fake_server: FakeLiveKitServer
) -> None:
    """Somebody answers in the server's place, without its secret: no code runs, the log says why, other jobs go on."""
    host, running = job
    fake_server.faults = Faults(forge_tokens=True)
    forged = (await fake_server.offer("forged", agent_name="steady")).job_id
    told = await fake_server.wait_status(forged, JobStatus.FAILED)
    assert "token not signed by this key" in told.error
    ended = await host.wait_event("job ended", job_id=forged)
    assert ended.level == "ERROR"
    assert "token not signed by this key" in ended.fields["error"]
    assert not host.events("job started", job_id=forged)
    fake_server.faults = Faults()
    later = (await fake_server.offer("good", agent_name="steady")).job_id
    await fake_server.wait_status(later, JobStatus.RUNNING)
    await end_job(host, running)


async def test_participant_of_an_unknown_kind_is_served(
    agent_file: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> None:
    """As a newer server may have them: the offer is taken over the same connection, and a rule can name the kind."""
    agent_file.write_text(
        YAML
        + "type: participant\nrequests: { otherwise: reject, rules: [{ name: new, "
        + 'when: { participant.kind: "unknown-*" }, action: accept }] }'
    )
    host = await run_host(agent_file, server=fake_server)
    await host.wait_event("registered")
    person = models.ParticipantInfo(identity="new", kind=99)  # type: ignore[arg-type]
    result = await fake_server.offer("room", agent_name="steady", type=JobType.PARTICIPANT, participant=person)
    assert result.assigned, host.output()
    assert fake_server.connections == 1
    await fake_server.wait_status(result.job_id, JobStatus.RUNNING)
    (agent_file.parent / "enough").touch()
