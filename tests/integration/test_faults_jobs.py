"""Jobs that go wrong, on a real host: the server hears why exactly once, and no other job notices."""

import signal
from pathlib import Path

import psutil
import pytest

from agenthost.jobs import JobStatus
from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.testing.values import OfferOutcome
from tests.support.host import HostProcess, signal_again, write_agent
from tests.support.polling import poll
from tests.support.protocols import RunHost

CODE = """
import asyncio
import ctypes
import os
import signal
import sys
from pathlib import Path

from agenthost import JobContext


async def entrypoint(ctx: JobContext) -> None:
    match ctx.job.metadata:
        case "raise":
            raise ValueError("boom in the entrypoint")
        case "_exit":
            os._exit(3)
        case "_exit 0":
            os._exit(0)
        case "sys.exit":
            sys.exit(5)
        case "SIGKILL":
            os.kill(os.getpid(), signal.SIGKILL)
        case "SIGSEGV":
            ctypes.string_at(0)
        case "wait":
            await asyncio.sleep(3600)
        case "neighbour":
            while not Path("enough").exists():
                await asyncio.sleep(0.02)
"""

YAML = """
version: 1
agent_name: faulty
entrypoint: my_agent:entrypoint
num_idle_processes: 1
load: { max_jobs: 50 }
http: { listen: "127.0.0.1:0" }
"""


@pytest.fixture
async def host(tmp_path: Path, fake_server: FakeLiveKitServer, run_any_host: RunHost) -> HostProcess:
    """A registered host whose jobs do what their metadata says."""
    running = await run_any_host(write_agent(tmp_path, CODE, YAML), server=fake_server)
    await running.wait_event("registered")
    return running


async def start_job(server: FakeLiveKitServer, what: str) -> str:
    """Offer a job that does `what`; its id, once it was assigned."""
    result = await server.offer(f"room-{what}", agent_name="faulty", metadata=what)
    assert result.outcome is OfferOutcome.ASSIGNED
    return result.job_id


@pytest.mark.parametrize(
    ("what", "told"),
    [
        ("raise", "ValueError: boom in the entrypoint"),
        ("_exit", "process ended: exit code 3"),
        ("_exit 0", "exit code 0"),
        ("sys.exit", "SystemExit"),
        ("SIGKILL", "SIGKILL"),
        ("SIGSEGV", "process ended: killed by signal SIGSEGV"),
    ],
)
async def test_failure_is_reported_with_its_cause_and_no_neighbour_notices(
    host: HostProcess, fake_server: FakeLiveKitServer, tmp_path: Path, what: str, told: str
) -> None:
    """JS_FAILED with the cause on the wire and in one log line; a job beside it goes on and ends well."""
    neighbour = await start_job(fake_server, "neighbour")
    await fake_server.wait_status(neighbour, JobStatus.RUNNING)
    job_id = await start_job(fake_server, what)
    failed = await fake_server.wait_status(job_id, JobStatus.FAILED)
    assert told in failed.error
    ended = await host.wait_event("job ended", job_id=job_id)
    assert (ended.fields["agent"], ended.fields["room"], ended.level) == ("faulty", f"room-{what}", "ERROR")
    assert told in ended.fields["error"]
    assert [s.status for s in fake_server.statuses(neighbour)] == [JobStatus.RUNNING]
    (tmp_path / "enough").touch()
    await fake_server.wait_status(neighbour, JobStatus.SUCCESS)
    terminal = [s.status for s in fake_server.statuses(job_id) if s.status is not JobStatus.RUNNING]
    assert terminal == [JobStatus.FAILED]
    assert host.stray == []


async def test_next_job_starts_after_every_kind_of_failure(host: HostProcess, fake_server: FakeLiveKitServer) -> None:
    """Failures use up no slot and no process: a job that does nothing still succeeds."""
    for what in ("raise", "_exit", "SIGKILL"):
        await fake_server.wait_status(await start_job(fake_server, what), JobStatus.FAILED)
    job_id = await start_job(fake_server, "return")
    assert (await fake_server.wait_status(job_id, JobStatus.SUCCESS)).error == ""
    status, _ = await host.http("/readyz")
    assert status == 200


async def test_traceback_in_the_log_is_the_users_own(host: HostProcess, fake_server: FakeLiveKitServer) -> None:
    """The failing line of the module is in the traceback, no frame of agenthost is, and no local variable."""
    job_id = await start_job(fake_server, "raise")
    ended = await host.wait_event("job ended", job_id=job_id)
    traceback = ended.fields["traceback"]
    assert 'raise ValueError("boom in the entrypoint")' in traceback
    assert "my_agent.py" in traceback
    assert "/agenthost/" not in traceback.replace("\\", "/")


async def test_job_killed_from_outside_is_reported(host: HostProcess, fake_server: FakeLiveKitServer) -> None:
    """SIGKILL of a running job's process: the signal is named, with a hint that memory may have run out."""
    job_id = await start_job(fake_server, "wait")
    started = await host.wait_event("job started", job_id=job_id)
    psutil.Process(started.fields["pid"]).kill()
    failed = await fake_server.wait_status(job_id, JobStatus.FAILED)
    assert "SIGKILL" in failed.error
    assert "memory" in failed.error


async def test_no_process_of_a_failed_job_is_left(host: HostProcess, fake_server: FakeLiveKitServer) -> None:
    """Also no zombie."""
    before = len(psutil.Process(host.pid).children(recursive=True))
    for what in ("raise", "SIGKILL", "_exit"):
        job_id = await start_job(fake_server, what)
        await host.wait_event("job ended", job_id=job_id)
    await poll(
        lambda: len(psutil.Process(host.pid).children(recursive=True)) <= before,
        timeout=5,
        what="processes or zombies of ended jobs are left",
    )


async def test_first_signal_waits_for_jobs_and_the_second_ends_them(
    host: HostProcess, fake_server: FakeLiveKitServer
) -> None:
    """Draining: not ready and full, the job goes on; the second SIGTERM ends it, exit code 3."""
    job_id = await start_job(fake_server, "wait")
    await host.wait_event("job started", job_id=job_id)
    host.signal(signal.SIGTERM)
    await host.wait_event("draining")
    assert (await host.http("/readyz"))[0] == 503
    assert [s.status for s in fake_server.statuses(job_id)] == [JobStatus.RUNNING]
    assert not (await fake_server.offer("another", agent_name="faulty")).assigned
    await signal_again(host, signal.SIGTERM)
    assert await host.exit_code() == 3
    assert fake_server.statuses(job_id)[-1].status is JobStatus.SUCCESS
