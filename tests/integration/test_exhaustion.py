"""A host that the system gives nothing more: no descriptors, forks, threads, disk, reader of its log, or right time.

What it cannot do then it refuses and reports; what runs goes on; and afterwards it is as it was, by itself. Both start
methods where a process has to be made or measured meanwhile; the log, time and disk do not depend on them.
"""

import asyncio
import json
import os
import re
import signal
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from agenthost.jobs import JobStatus
from agenthost.testing.host_process import AGENTHOST
from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.testing.values import OfferOutcome
from tests.support.agent_host import AGENT, AgentHost, Start, start_agent
from tests.support.exhaustion import family, no_descriptors, no_growing_files
from tests.support.fork_refusal import ForkRefusal
from tests.support.host import HostProcess
from tests.support.link import Link
from tests.support.log_tap import LogTap
from tests.support.polling import poll
from tests.support.protocols import RunHost
from tests.support.shifted_clock import ShiftedClock

CODE = """
async def entrypoint(ctx):
    match ctx.job.metadata.split():
        case ["wait", name]:
            await until(name)
        case ["flood", lines]:
            for number in range(int(lines)):
                print("x" * 99)
"""
KEYS = """
num_idle_processes: 2
limits: { memory: 1GB }
recovery: true
http: { listen: "127.0.0.1:0" }
"""
LONG = 60.0

StartAs = Callable[..., Awaitable[AgentHost]]


@pytest.fixture
def start(fake_server: FakeLiveKitServer, run_host: RunHost, tmp_path: Path) -> Start:
    """`await start(code, yaml="", **options)`: a registered host."""
    return partial(start_agent, run_host, fake_server, tmp_path)


@pytest.fixture
def start_any(start: Start, start_method: str) -> Start:
    """The same, once with each start method."""
    return partial(start, start_method=start_method)


@pytest.fixture
async def link(fake_server: FakeLiveKitServer) -> AsyncIterator[Link]:
    """Between a host and the server: cut, it leaves no connection, also none that recovery has kept open."""
    async with Link().to(fake_server.port) as link:
        yield link


@pytest.fixture
async def start_as(fake_server: FakeLiveKitServer, tmp_path: Path) -> AsyncIterator[StartAs]:
    """`await start_as(program, code, yaml="", **options)`: the same, started by another program than the usual one."""
    async with AsyncExitStack() as stack:

        async def start(program: Sequence[str], code: str, yaml: str = "", **options: Any) -> AgentHost:
            async def run(*arguments: str | Path, env: Mapping[str, str] | None = None, **_: Any) -> HostProcess:
                variables = fake_server.environment | dict(env or {})
                host = HostProcess("start", *arguments, cwd=tmp_path, env=variables, program=program)
                stack.push_async_callback(host.close)
                await host.start()
                return host

            return await start_agent(run, fake_server, tmp_path, code, yaml, **options)

        yield start


@pytest.fixture
def refusal(tmp_path: Path) -> Iterator[ForkRefusal]:
    with ForkRefusal(tmp_path / "forks") as refusal:
        yield refusal


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte, to be filled."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0777", "tmpfs", disk], capture_output=True, text=True, check=False
    )
    assert mounted.returncode == 0, f"this test, run by root, needs to mount a tmpfs: {mounted.stderr}"
    yield disk
    subprocess.run(["umount", "--lazy", disk], check=True)


async def serves(agent: AgentHost) -> None:
    """It takes an offer and runs it to its end, as soon as it is registered."""
    await agent.server.wait_registered(AGENT, timeout=LONG)
    async with asyncio.timeout(LONG):
        while True:
            result = await agent.try_offer()
            if result.outcome is OfferOutcome.ASSIGNED:
                break
            await asyncio.sleep(0.1)  # a template that died is made anew meanwhile
    await agent.ended(result.job_id, JobStatus.SUCCESS)


async def idle_processes(agent: AgentHost, count: int) -> None:
    """Until the host knows of so many that wait for a job: that they are there and even ready is not enough."""
    idle = re.compile(rf"^agenthost_idle_processes{{.*}} {count}\.0$", re.MULTILINE)
    for _ in range(600):
        if idle.search((await agent.host.http("/metrics"))[1]):
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"no {count} idle processes:\n{agent.host.output()}")


# ── descriptors ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_host_without_descriptors_keeps_its_jobs_and_says_what_it_cannot(start_any: Start, link: Link) -> None:
    """Offers are rejected with the reason, a job that dies is reported; nothing waits for ever, and all comes back."""
    agent = await start_any(CODE, KEYS, env={"LIVEKIT_URL": f"ws://127.0.0.1:{link.port}"})
    lives, _ = await agent.start_job("wait end")
    dies, pid = await agent.start_job("wait end")
    await idle_processes(agent, 2)
    with no_descriptors(agent.host.pid):
        os.kill(pid, signal.SIGKILL)
        assert "SIGKILL" in await agent.ended(dies, JobStatus.FAILED)
        results = [await agent.try_offer() for _ in range(4)]
        assert [one.outcome for one in results] == [OfferOutcome.ASSIGNED] * 2 + [OfferOutcome.REJECTED] * 2
        rejected = (await agent.host.wait_event("offer rejected")).fields
        assert (rejected["reason"], rejected["detail"]) == (
            "no process",
            "no descriptors for another process: Too many open files",
        )
        link.cut()
        lost = await agent.host.wait_event("registration failed", timeout=LONG)
        assert "Too many open files" in lost.fields["reason"]
    await serves(agent)
    agent.let_go("end")
    await agent.host.wait_event("job ended", job_id=lives, outcome="succeeded")


async def test_very_first_offer_needs_no_descriptor(start_any: Start) -> None:
    """All that an answer needs is loaded before: an idle process takes the job."""
    agent = await start_any(CODE, KEYS + "timezone: Europe/Berlin\n")
    await idle_processes(agent, 2)
    with no_descriptors(agent.host.pid):
        result = await agent.try_offer()
    assert result.outcome is OfferOutcome.ASSIGNED, agent.host.output()


async def test_reload_without_descriptors_fails_and_the_next_one_works(start_any: Start) -> None:
    """Neither reading the file nor watching it ends the host."""
    agent = await start_any(CODE, KEYS + "reload: { watch: [config, code] }\n")
    with no_descriptors(agent.host.pid):
        agent.host.signal(signal.SIGHUP)
        failed = await agent.host.wait_event("reload failed")
        assert "Too many open files" in failed.fields["error"]
    module = agent.folder / "my_agent.py"
    module.write_text(module.read_text() + "\n# edited\n")
    await agent.host.wait_event("reloaded", changes=1)
    await serves(agent)


async def test_http_that_was_first_asked_without_descriptors_answers_afterwards(start: Start) -> None:
    """Its server is made for the first client, which needs files to be opened."""
    agent = await start(CODE, KEYS)
    port = await agent.host.http_port()
    with no_descriptors(agent.host.pid):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        await poll(
            lambda: any("http cannot be served" in line.message for line in agent.host.lines),
            timeout=LONG,
            what="no word",
        )
    status, _ = await agent.host.http("/healthz", timeout=LONG)
    assert status == 200
    writer.close()


async def test_job_over_its_memory_limit_is_ended_once_it_can_be_measured(start_any: Start) -> None:
    """A look at a job's memory needs a descriptor; without one there is none, and the next follows."""
    code = """
    async def entrypoint(ctx):
        eaten = os.urandom(1) * (300 * 2**20)
        await asyncio.sleep(600)
    """
    agent = await start_any(code, "limits: { memory: 200MB }")
    job, _ = await agent.start_job()
    with no_descriptors(agent.host.pid):
        await asyncio.sleep(7.0)  # longer than two looks are apart
        assert agent.host.running
    await agent.host.wait_event("job over its memory limit", job_id=job, timeout=LONG)


# ── forks and threads ────────────────────────────────────────────────────────────────────────────────────────


async def test_fork_that_the_kernel_refuses_is_an_offer_rejected_with_its_reason(
    refusal: ForkRefusal, start_as: StartAs, start_method: str
) -> None:
    """Nothing accepted is lost: what the idle processes cannot take is rejected in time for another host."""
    agent = await start_as(refusal.program(*AGENTHOST), CODE, KEYS, start_method=start_method)
    lives, _ = await agent.start_job("wait end")
    await idle_processes(agent, 2)
    refusal.refuses = lambda pid: True
    results = [await agent.try_offer() for _ in range(4)]
    assert [one.outcome for one in results] == [OfferOutcome.ASSIGNED] * 2 + [OfferOutcome.REJECTED] * 2
    rejected = (await agent.host.wait_event("offer rejected")).fields
    refused = {"auto": "the kernel refused to fork", "spawn": "a process cannot be started"}[start_method]
    assert rejected["detail"] == f"{refused}: Resource temporarily unavailable"
    refusal.refuses = lambda pid: False
    await serves(agent)
    agent.let_go("end")
    await agent.ended(lives, JobStatus.SUCCESS)


async def test_dead_templates_are_replaced_once_there_are_forks_again(refusal: ForkRefusal, start_as: StartAs) -> None:
    """Neither a base nor a template can be made meanwhile."""
    agent = await start_as(refusal.program(*AGENTHOST), CODE, "recovery: true")
    refusal.refuses = lambda pid: True
    for pid in (agent.base, agent.template):
        os.kill(pid, signal.SIGKILL)
    assert (await agent.try_offer()).outcome is OfferOutcome.REJECTED
    refusal.refuses = lambda pid: False
    await serves(agent)


async def test_reload_without_a_thread_fails_and_the_next_one_works(refusal: ForkRefusal, start_as: StartAs) -> None:
    """The file is read in a thread, the first one that the host asks for after its start."""
    agent = await start_as(refusal.program(*AGENTHOST), CODE, KEYS)
    job, _ = await agent.start_job("wait end")
    refusal.refuses = lambda pid: pid == agent.host.pid
    agent.host.signal(signal.SIGHUP)
    failed = await agent.host.wait_event("reload failed")
    assert "new thread" in failed.fields["error"]
    refusal.refuses = lambda pid: False
    agent.host.signal(signal.SIGHUP)
    await agent.host.wait_event("reloaded")
    agent.let_go("end")
    await agent.ended(job, JobStatus.SUCCESS)


# ── the log ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_log_that_nobody_reads_holds_up_no_call_and_what_it_lost_is_counted(
    start_as: StartAs, tmp_path: Path
) -> None:
    """Its pipe is full for longer than the queue behind it lasts; each line is then shown or counted."""
    tap = LogTap(tmp_path / "log")
    agent = await start_as(tap.program(*AGENTHOST), CODE, "log_level: INFO")
    waits, _ = await agent.start_job("wait end")
    tap.stop()
    flood = await agent.offer("flood 60000")
    for _ in range(5):
        await agent.ended(await agent.offer(), JobStatus.SUCCESS)
    await agent.ended(flood, JobStatus.SUCCESS, timeout=LONG)
    agent.let_go("end")
    await agent.ended(waits, JobStatus.SUCCESS)
    tap.resume()
    await agent.host.wait_event("job ended", job_id=flood, timeout=LONG)

    def accounted() -> int:
        dropped = sum(line.fields["count"] for line in agent.host.events("log lines dropped"))
        return dropped + sum(line.message.count("x" * 99) for line in agent.host.lines)

    await poll(lambda: accounted() >= 60_000, timeout=LONG, what="lines are missing and not counted")
    assert agent.host.events("log lines dropped")
    assert not agent.host.stray


async def test_host_whose_log_nobody_reads_ends_all_the_same(start_as: StartAs, tmp_path: Path) -> None:
    """The end waits two seconds for the reader and no longer; the exit code is the usual one."""
    tap = LogTap(tmp_path / "log")
    agent = await start_as(tap.program(*AGENTHOST), CODE, "log_level: INFO")
    tap.stop()
    await agent.ended(await agent.offer("flood 60000"), JobStatus.SUCCESS, timeout=LONG)
    agent.host.signal(signal.SIGTERM)
    await poll(lambda: not psutil.pid_exists(agent.host.pid), timeout=LONG, what="it does not end")
    tap.resume()
    assert await agent.host.exit_code() == 0


async def metrics_at(address: str) -> str:
    """Of a host whose log goes to a file, where the test's own reader does not see its port."""
    timeout = aiohttp.ClientTimeout(total=LONG)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(f"http://{address}/metrics") as answer:
        return await answer.text()


async def test_log_file_that_cannot_grow_holds_up_no_call_and_goes_on_when_it_can(
    start_as: StartAs, tmp_path: Path
) -> None:
    """As on a full disk: calls run, the lines are counted, and what is written later is whole."""
    log = tmp_path / "log.jsonl"
    program = ("/bin/sh", "-c", 'exec "$@" > "$0"', str(log), *AGENTHOST)
    agent = await start_as(program, CODE, 'http: { listen: "127.0.0.1:0" }', ready=False)
    await agent.server.wait_registered(AGENT, timeout=LONG)
    await agent.ended(await agent.offer(), JobStatus.SUCCESS)
    said = await poll(lambda: re.search(r'.*"http listening".*', log.read_text()), timeout=LONG)
    address = json.loads(said.group())["address"]
    with no_growing_files(family(agent.host.pid)):
        for _ in range(5):
            await agent.ended(await agent.offer(), JobStatus.SUCCESS)
        assert "agenthost_log_lines_dropped_total 0.0" not in await metrics_at(address)
    last = await agent.offer()
    await agent.ended(last, JobStatus.SUCCESS)
    await poll(lambda: last in log.read_text(), timeout=LONG, what="it does not log any more")
    records = [json.loads(line) for line in log.read_text().splitlines() if line]
    assert any(record["message"] == "log lines dropped" and record["count"] > 0 for record in records)


@pytest.mark.machine  # only root can mount a file system
async def test_full_file_system_fails_the_jobs_that_write_and_no_others(full_disk: Path, start: Start) -> None:
    """The working directory and TMPDIR are on it; a job that cannot write fails with the reason."""
    code = """
    async def entrypoint(ctx):
        if ctx.job.metadata:
            Path("note").write_text("x" * 10_000)
    """
    agent = await start(code, f"working_dir: {full_disk}", env={"TMPDIR": str(full_disk)})
    ballast = full_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(b"x" * 4096)
    assert "No space left" in await agent.ended(await agent.offer("write"), JobStatus.FAILED)
    await agent.ended(await agent.offer(), JobStatus.SUCCESS)
    ballast.unlink()
    await agent.ended(await agent.offer("write"), JobStatus.SUCCESS)


# ── time ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("seconds", [-36_000.0, 36_000.0], ids=["back", "forth"])
async def test_clock_that_jumps_ends_no_job_and_loses_no_offer(start: Start, tmp_path: Path, seconds: float) -> None:
    """Nothing waits for a time of day: limits, heartbeats, offers and restarts go by the clock that never jumps."""
    clock = ShiftedClock(tmp_path)
    keys = "limits: { max_duration: 1h, unresponsive: 20s, init: 20s }\nnum_idle_processes: 1\nlog_level: DEBUG"
    agent = await start(CODE, keys, env=clock.environment)
    before = agent.host.events("host started")[0].fields["timestamp"]
    job, _ = await agent.start_job("wait end")
    clock.shift(seconds)
    await agent.ended(await agent.offer(), JobStatus.SUCCESS)
    accepted = agent.host.events("job accepted")[-1].fields["timestamp"]
    assert (accepted > before) == (seconds > 0), "the clock did not jump"
    await asyncio.sleep(3.0)  # every once-a-second look of the host has passed
    assert not agent.host.events("job ended", job_id=job)
    clock.shift(0.0)
    agent.let_go("end")
    await agent.ended(job, JobStatus.SUCCESS)
