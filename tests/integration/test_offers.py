"""How fast and how exactly a real host answers offers: hard slots, slow handlers, bursts, duplicates.

Handlers have a process and run under both start methods; slots and rules are the host's alone.
"""

import asyncio
import time
from pathlib import Path

import pytest

from agenthost.jobs import JobStatus
from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.testing.values import OfferOutcome
from tests.support.host import write_agent
from tests.support.polling import poll
from tests.support.protocols import RunHost
from tests.support.worker import Worker, accept

CODE = """
import asyncio
from pathlib import Path

from agenthost import JobContext, JobRequest


async def entrypoint(ctx: JobContext) -> None:
    while not Path("enough").exists():
        await asyncio.sleep(0.02)


async def slow(request: JobRequest) -> None:
    await asyncio.sleep(10)
    await request.accept()
"""

YAML = """
version: 1
agent_name: exact
entrypoint: my_agent:entrypoint
num_idle_processes: 1
load: { max_jobs: 60 }
http: { listen: "127.0.0.1:0" }
"""


@pytest.mark.quiet
async def test_one_slot_under_fifty_offers_accepts_exactly_one(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> None:
    """max_jobs: 1 and 50 offers at once: one is assigned, 49 are rejected, all within 200 ms."""
    yaml = YAML.replace("max_jobs: 60", "max_jobs: 1")
    host = await run_host(write_agent(tmp_path, CODE, yaml), server=fake_server)
    await host.wait_event("registered")
    results = await asyncio.gather(*(fake_server.offer(f"room-{i}", agent_name="exact") for i in range(50)))
    outcomes = [result.outcome for result in results]
    assert (outcomes.count(OfferOutcome.ASSIGNED), outcomes.count(OfferOutcome.REJECTED)) == (1, 49)
    answers = [result.answer for result in results]
    assert max(a.answered_at for a in answers) - min(a.offered_at for a in answers) < 0.2
    assert not any(answer.terminate for answer in answers)
    (tmp_path / "enough").touch()


@pytest.mark.quiet
async def test_slow_handler_is_rejected_in_time_for_another_worker(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_any_host: RunHost
) -> None:
    """A handler that sleeps 10 s: reject (not terminate) by 1.5 s, the next worker is asked, and it is counted."""
    host = await run_any_host(
        write_agent(tmp_path, CODE, YAML + "requests: { handler: my_agent:slow }\n"), server=fake_server
    )
    await host.wait_event("registered")
    second = Worker(fake_server.url, fake_server.api_key, fake_server.api_secret, agent_name="exact", answer=accept())
    async with second:
        await second.report(load=0.999)  # so that ours is asked first
        result = await fake_server.offer("room", agent_name="exact")
    assert [(a.available, a.terminate) for a in result.answers] == [(False, False), (True, False)]
    assert result.answers[0].answered_at - result.answers[0].offered_at < 1.6
    rejected = await host.wait_event("offer rejected")
    assert rejected.fields["job_id"] == result.job_id
    _, metrics = await host.http("/metrics")
    counted = [line for line in metrics.splitlines() if "offers_total" in line and "reject" in line]
    assert len(counted) == 1
    assert counted[0].endswith(" 1.0")


@pytest.mark.quiet
async def test_burst_of_offers_all_run(tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost) -> None:
    """Forty offers with one idle process: every one is accepted, runs, and ends well."""
    host = await run_host(write_agent(tmp_path, CODE, YAML), server=fake_server)
    await host.wait_event("registered")
    results = await asyncio.gather(*(fake_server.offer(f"room-{i}", agent_name="exact") for i in range(40)))
    assert {result.outcome for result in results} == {OfferOutcome.ASSIGNED}
    for result in results:
        await fake_server.wait_status(result.job_id, JobStatus.RUNNING)
    (tmp_path / "enough").touch()
    for result in results:
        await fake_server.wait_status(result.job_id, JobStatus.SUCCESS)
    pids = {line.fields["pid"] for line in host.events("job started")}
    assert len(pids) == 40  # a process is never used twice


async def test_second_job_of_a_room_is_terminated_as_a_duplicate(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> None:
    """unique_per_room: two offers for one room within milliseconds: one runs, the other is ended for everybody."""
    host = await run_host(write_agent(tmp_path, CODE, YAML + "unique_per_room: true\n"), server=fake_server)
    await host.wait_event("registered")
    results = await asyncio.gather(*(fake_server.offer("room", agent_name="exact") for _ in range(2)))
    assert {result.outcome for result in results} == {OfferOutcome.ASSIGNED, OfferOutcome.TERMINATED}
    rejected = await host.wait_event("offer rejected")
    assert rejected.fields["reason"] == "duplicate"
    (tmp_path / "enough").touch()


async def test_full_host_reports_it_and_is_asked_again_when_free(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> None:
    """WS_FULL while the only slot is used, 0.69 × the used fraction below that, available once the job has ended."""
    yaml = YAML.replace("max_jobs: 60", "max_jobs: 2")
    host = await run_host(write_agent(tmp_path, CODE, yaml), server=fake_server)
    await host.wait_event("registered")
    await fake_server.offer("first", agent_name="exact")
    await fake_server.wait_report("exact", lambda report: report.available and abs(report.load - 0.69 / 2) < 0.001)
    await fake_server.offer("second", agent_name="exact")
    await fake_server.wait_report("exact", lambda report: not report.available and report.job_count == 2)
    began = time.monotonic()
    (tmp_path / "enough").touch()
    free = await fake_server.wait_report("exact", lambda report: report.available and report.job_count == 0)
    assert free.at >= began


async def test_hook_process_that_starts_slowly_is_started_once_for_all_offers(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> None:
    """It died, and its next start outlasts an offer: those are rejected in time, and the start goes on behind them."""
    code = f"""
import os, time
if Path("started").exists():
    time.sleep(2.5)
Path("started").touch()
{CODE.replace("await asyncio.sleep(10)", 'if request.job.metadata == "die": os._exit(1)')}
"""
    code = "from pathlib import Path\n" + code
    yaml = (
        YAML.replace("num_idle_processes: 1", "num_idle_processes: 0\nstart_method: spawn")
        + "requests: { handler: my_agent:slow }\n"
    )
    host = await run_host(write_agent(tmp_path, code, yaml), server=fake_server)
    await host.wait_event("registered", timeout=30)
    assert (await fake_server.offer("first", agent_name="exact", metadata="die")).outcome is OfferOutcome.REJECTED
    outcomes = [(await fake_server.offer(f"room-{number}", agent_name="exact")).answers for number in range(4)]
    assert all(outcomes), "every offer is answered in time"
    assert any(answers[0].available for answers in outcomes), host.output()
    (tmp_path / "enough").touch()


async def test_dead_hook_process_is_replaced_before_anybody_asks(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> None:
    """The next offer need not wait for its start."""
    dies = 'import os\n    if request.job.metadata == "die": os._exit(1)'
    code = CODE.replace("await asyncio.sleep(10)", dies) + '\nimport os\nPath(f"loaded-{os.getpid()}").touch()\n'
    yaml = YAML.replace("num_idle_processes: 1", "num_idle_processes: 0\nstart_method: spawn")
    yaml += "requests: { handler: my_agent:slow }\n"
    host = await run_host(write_agent(tmp_path, code, yaml), server=fake_server)
    await host.wait_event("registered", timeout=30)
    before = len(list(tmp_path.glob("loaded-*")))
    await fake_server.offer("first", agent_name="exact", metadata="die")
    await poll(lambda: len(list(tmp_path.glob("loaded-*"))) > before, timeout=15, what="no other was started")
