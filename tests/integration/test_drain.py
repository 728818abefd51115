"""How a host ends: the first, second and third signal, the drain deadline, a signal during the start.

Both start methods, but where there are no jobs.
"""

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from agenthost.control.client import ControlClient
from agenthost.control.location import default_path
from agenthost.jobs import JobStatus
from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.testing.values import OfferOutcome
from tests.support.host import HostProcess, signal_again, write_agent
from tests.support.protocols import RunHost

CODE = """
import asyncio
from pathlib import Path

from agenthost import JobContext


async def entrypoint(ctx: JobContext) -> None:
    async def ended(reason: str) -> None:
        Path(f"ended-{ctx.job.id}").write_text(reason)

    ctx.add_shutdown_callback(ended)
    if ctx.job.metadata == "stubborn":
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                pass
    while not Path(f"leave-{ctx.room.name}").exists():
        await asyncio.sleep(0.02)
"""


JSON = "log_format: json"


async def start(
    run_host: RunHost, folder: Path, server: FakeLiveKitServer, yaml: str = "", **options: Any
) -> HostProcess:
    """A registered host of agent `a`."""
    text = "load: { max_jobs: 50 }\nagent_name: a\nentrypoint: my_agent:entrypoint\n"
    text += f'http: {{ listen: "127.0.0.1:0" }}\n{yaml}\n'
    host = await run_host(write_agent(folder, CODE, text), server=server, **options)
    await host.wait_event("registered")
    return host


async def started(server: FakeLiveKitServer, room: str, metadata: str = "") -> str:
    """The id of a job that runs."""
    result = await server.offer(room, agent_name="a", metadata=metadata)
    assert result.outcome is OfferOutcome.ASSIGNED, result
    await server.wait_status(result.job_id, JobStatus.RUNNING)
    return result.job_id


def callback_of(folder: Path, job_id: str) -> str:
    """The reason its shutdown callback was given, "" when it was not called."""
    file = folder / f"ended-{job_id}"
    return file.read_text() if file.exists() else ""


async def test_first_signal_lets_jobs_end_by_themselves(
    run_any_host: RunHost, tmp_path: Path, fake_server: FakeLiveKitServer
) -> None:
    """1. SIGTERM to the whole group with three jobs. 2. Not ready at once, full, offers rejected; jobs untouched.
    3. They end one by one. Result: exit 0 after the last, no process left."""
    host = await start(run_any_host, tmp_path, fake_server)
    jobs = [await started(fake_server, f"r{n}") for n in range(3)]
    host.signal(signal.SIGTERM, group=True)
    await host.wait_event("draining")
    assert await host.http("/readyz") == (503, "not ready: draining\n")
    await fake_server.wait_report("a", lambda report: not report.available)
    (tmp_path / "leave-r1").touch()
    await fake_server.wait_status(jobs[1], JobStatus.SUCCESS)
    assert host.running
    assert [fake_server.statuses(job)[-1].status for job in (jobs[0], jobs[2])] == [JobStatus.RUNNING] * 2
    (tmp_path / "leave-r0").touch()
    (tmp_path / "leave-r2").touch()
    assert await host.exit_code() == 0
    assert await host.wait_no_survivors() == []


async def test_drain_deadline_ends_jobs_within_the_budget(
    run_any_host: RunHost, tmp_path: Path, fake_server: FakeLiveKitServer
) -> None:
    """Callbacks run inside limits.shutdown, a stubborn job is killed; both are successes on the wire; exit 3."""
    host = await start(run_any_host, tmp_path, fake_server, "drain_timeout: 300ms\nlimits: { shutdown: 1s }")
    good, stubborn = await started(fake_server, "r"), await started(fake_server, "s", "stubborn")
    host.signal(signal.SIGTERM)
    assert await host.exit_code(timeout=8) == 3
    for job in (good, stubborn):
        assert fake_server.statuses(job)[-1].status is JobStatus.SUCCESS
        assert host.events("job ended", job_id=job, reason="drain deadline")
    assert callback_of(tmp_path, good) == "drain deadline"


async def test_a_job_that_ends_before_the_deadline_is_past_it(
    run_host: RunHost, tmp_path: Path, fake_server: FakeLiveKitServer
) -> None:
    """Of two jobs the deadline ends one, and says so of that one only."""
    host = await start(run_host, tmp_path, fake_server, "drain_timeout: 1s\nlimits: { shutdown: 1s }")
    quick, slow = await started(fake_server, "quick"), await started(fake_server, "slow")
    host.signal(signal.SIGTERM)
    (tmp_path / "leave-quick").touch()
    assert await host.exit_code(timeout=8) == 3
    assert [line.fields["job_id"] for line in host.events("job stopping")] == [slow]
    assert fake_server.statuses(quick)[-1].status is JobStatus.SUCCESS


async def test_second_signal_ends_jobs(run_any_host: RunHost, tmp_path: Path, fake_server: FakeLiveKitServer) -> None:
    """Ctrl-C twice: callbacks run, exit 3."""
    host = await start(run_any_host, tmp_path, fake_server, "limits: { shutdown: 1s }")
    job = await started(fake_server, "r")
    host.signal(signal.SIGINT)
    await host.wait_event("draining")
    await signal_again(host, signal.SIGINT)
    assert await host.exit_code(timeout=8) == 3
    assert callback_of(tmp_path, job) == "second signal"
    assert host.events("job ended", job_id=job, reason="second signal")


@pytest.mark.parametrize(
    ("first", "second"),
    [(signal.SIGINT, signal.SIGINT), (signal.SIGINT, signal.SIGTERM), (signal.SIGHUP, signal.SIGHUP)],
)
async def test_signal_that_is_sent_twice_is_one(
    run_host: RunHost, tmp_path: Path, fake_server: FakeLiveKitServer, first: signal.Signals, second: signal.Signals
) -> None:
    """1. Ctrl-C comes from the terminal and from a wrapper, and so does the loss of a terminal. 2. The call goes on.
    3. The next, too, comes doubled: its callbacks run. Result: exit 3."""
    host = await start(run_host, tmp_path, fake_server, f"limits: {{ shutdown: 5s }}\n{JSON}", command="dev")
    job = await started(fake_server, "r")
    host.signal(first)
    await host.wait_event("draining")
    host.signal(second)
    await signal_again(host, signal.SIGINT)
    await host.wait_event("ending jobs")
    host.signal(second)
    assert await host.exit_code(timeout=8) == 3
    assert callback_of(tmp_path, job) == "second signal"
    assert len(host.events("ending jobs")) == 1
    assert not host.events("killing jobs")


async def test_stop_now_right_after_a_signal_is_meant(
    run_host: RunHost, tmp_path: Path, fake_server: FakeLiveKitServer
) -> None:
    """A command is never the echo of a signal."""
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    host = await start(run_host, tmp_path, fake_server, "limits: { shutdown: 60s }", env=environ)
    await host.wait_event("host started")
    await started(fake_server, "s", "stubborn")
    control = ControlClient(default_path(tmp_path / "agenthost.yaml", environ))
    host.signal(signal.SIGTERM)
    await host.wait_event("draining")
    await asyncio.to_thread(control.stop, now=True)
    await host.wait_event("ending jobs")
    await asyncio.to_thread(control.stop, now=True)
    assert await host.exit_code(timeout=5) == 3


@pytest.mark.parametrize("command", ["dev", "start"])
async def test_ignored_hang_up_stays_ignored(
    run_host: RunHost, tmp_path: Path, fake_server: FakeLiveKitServer, command: str
) -> None:
    """`nohup agenthost dev … &`: the loss of the terminal is nothing to it; another signal is."""
    host = await start(run_host, tmp_path, fake_server, JSON, command=command, under=["nohup"])
    await started(fake_server, "r")
    host.signal(signal.SIGHUP)
    (tmp_path / "leave-r").touch()
    await host.wait_event("job ended")
    assert not host.events("draining")
    assert not host.events("reload wanted")
    host.signal(signal.SIGTERM)
    assert await host.exit_code() == 0
    assert await host.wait_no_survivors() == []


async def test_third_signal_kills(run_any_host: RunHost, tmp_path: Path, fake_server: FakeLiveKitServer) -> None:
    """A stubborn job and a budget of a minute: the third signal does not wait for it."""
    host = await start(run_any_host, tmp_path, fake_server, "limits: { shutdown: 60s }")
    await started(fake_server, "s", "stubborn")
    for event in ("draining", "ending jobs", "killing jobs"):
        await signal_again(host, signal.SIGTERM)
        await host.wait_event(event)
    assert await host.exit_code(timeout=5) == 3


async def test_signal_while_a_module_is_imported_ends_the_host(
    run_any_host: RunHost, tmp_path: Path, fake_server: FakeLiveKitServer
) -> None:
    """A module that takes an hour to import does not hold Ctrl-C up; nothing ran, so exit 0."""
    code = "import time\nprint('importing')\ntime.sleep(3600)\nasync def entrypoint(ctx): pass\n"
    yaml = "entrypoint: my_agent:entrypoint\nhttp: { listen: none }"
    host = await run_any_host(write_agent(tmp_path, code, yaml), server=fake_server)
    await host.wait_event("importing")
    host.signal(signal.SIGTERM)
    assert await host.exit_code(timeout=5) == 0


async def test_drain_without_jobs_is_quick_even_when_the_server_is_gone(
    run_host: RunHost, tmp_path: Path, fake_server: FakeLiveKitServer
) -> None:
    """The connection breaks in the moment of the signal: the host ends all the same."""
    host = await start(run_host, tmp_path, fake_server)
    host.signal(signal.SIGTERM)
    await fake_server.stop()
    assert await host.exit_code(timeout=5) == 0
