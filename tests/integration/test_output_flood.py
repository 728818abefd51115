"""A job that says far more than a log can take, beside a job that says little: the whole way into the log file."""

import asyncio
import json
import os
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median

import pytest

from agenthost.config.model import LogConfig
from agenthost.jobs import JobStatus
from agenthost.logs.relay import OutputRelay
from agenthost.logs.setup import LogSystem, start_logging
from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.support.host import write_agent
from tests.support.protocols import RunHost

LINES = 1_000_000
FLOODS = {
    "python": "import sys\nfor _ in range(1_000_000): sys.stdout.write('x' * 99 + chr(10))",
    "native": "import os\nfor _ in range(1000): os.write(1, (b'x' * 99 + b'\\n') * 1000)",
    "native stderr": "import os\nfor _ in range(1000): os.write(2, (b'x' * 99 + b'\\n') * 1000)",
}

QUIET = "import time\nfor n in range(20): print('still', n, flush=True); time.sleep(0.05)"


@contextmanager
def log_to(path: Path) -> Iterator[LogSystem]:
    """The host's log, written to `path`; begun within the test, so that pytest's own handlers do not see the flood."""
    config = LogConfig(level="INFO", levels={}, format="json", rename={})
    with path.open("w") as file:
        system = start_logging(config, command="start", stream=file)
        try:
            yield system
        finally:
            assert system.stop(timeout=10)


async def start(agent: str, code: str) -> tuple[asyncio.subprocess.Process, OutputRelay]:
    """A real process that runs `code`, and the relay of its output."""
    (out, stdout), (err, stderr), (records, log_end) = os.pipe(), os.pipe(), os.pipe()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=stdout, stderr=stderr)
    for fd in (stdout, stderr, log_end):
        os.close(fd)
    return process, OutputRelay(out, err, records, fields={"agent": agent, "pid": process.pid})


async def longest_turn_until(end: Coroutine[None, None, object]) -> float:
    """Seconds that a timer of this loop was late at worst, until `end`; without those for want of a processor."""
    loop, worst, ended = asyncio.get_running_loop(), 0.0, asyncio.ensure_future(end)
    while not ended.done():
        before, queued = loop.time(), seconds_without_processor()
        await asyncio.sleep(0.01)
        worst = max(worst, loop.time() - before - 0.01 - (seconds_without_processor() - queued))
    return worst


def seconds_without_processor() -> float:
    """How long the threads of this process have waited for a processor; what one waits with the GIL, all wait."""
    seconds = 0.0
    for task in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # it has ended
            seconds += int((task / "schedstat").read_text().split()[1]) / 1e9
    return seconds


def lines_in(record: dict[str, object]) -> int:
    return str(record["message"]).count("\n") + 1


@pytest.mark.timeout(240)
@pytest.mark.parametrize("code", FLOODS.values(), ids=FLOODS)
async def test_job_printing_100_mb_stalls_neither_the_loop_nor_another_job(tmp_path: Path, code: str) -> None:
    """What is lost is counted to the line, the other job's lines are all there, and the loop goes on turning."""
    with log_to(tmp_path / "log") as log:
        quiet, quiet_relay = await start("quiet", QUIET)
        noisy, noisy_relay = await start("noisy", code)
        worst = await longest_turn_until(noisy.wait())
        await asyncio.gather(quiet.wait(), quiet_relay.drained(), noisy_relay.drained())
    records = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    said = [record for record in records if record["name"] in ("stdout", "stderr")]
    lost = sum(record["count"] for record in records if record["message"] == "log lines dropped")
    shown = sum(lines_in(record) for record in said if record["agent"] == "noisy")
    assert lost == log.queue.dropped
    assert shown + lost == LINES
    assert [record["message"] for record in said if record["agent"] == "quiet"] == [f"still {n}" for n in range(20)]
    assert worst < 0.25, "the loop stood still"


CODE = """
import os
import sys

from agenthost import JobContext


async def entrypoint(ctx: JobContext) -> None:
    if ctx.job.metadata == "flood":
        for _ in range(500):
            sys.stdout.write("x" * 99 + "\\n")
            os.write(1, (b"x" * 99 + b"\\n") * 1000)
            os.write(2, (b"y" * 99 + b"\\n") * 1000)
    print("done")
"""

YAML = """
version: 1
agent_name: talker
entrypoint: my_agent:entrypoint
http: { listen: none }
load: { max_jobs: 10 }  # what else the machine does is no reason to refuse a job
"""


async def test_host_answers_offers_while_a_job_prints_100_mb(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> None:
    """Jobs that come during the flood are accepted, run and end as if it were quiet."""
    host = await run_host(write_agent(tmp_path, CODE, YAML), server=fake_server)
    await fake_server.wait_registered("talker")
    first = await fake_server.offer(room="first", agent_name="talker")
    await fake_server.wait_status(first.job_id, JobStatus.SUCCESS)
    undisturbed = first.answer.answered_at - first.answer.offered_at
    flood = await fake_server.offer(room="flood", agent_name="talker", metadata="flood")
    delays, quiet = [], []
    while not any(update.status is JobStatus.SUCCESS for update in fake_server.statuses(flood.job_id)):
        offer = await fake_server.offer(room=f"quiet-{len(quiet)}", agent_name="talker")
        assert offer.assigned
        delays.append(offer.answer.answered_at - offer.answer.offered_at)
        quiet.append(offer.job_id)
        await fake_server.wait_status(offer.job_id, JobStatus.SUCCESS)
    for job_id in (flood.job_id, *quiet):
        await host.wait_event("done", job_id=job_id)
    assert median(delays) < 0.2 + 10 * undisturbed
