"""What jobs say, by every means they have, on a real host: each line once, as JSON, with the job it belongs to."""

import asyncio
import json
from pathlib import Path

import pytest

from agenthost.jobs import JobStatus
from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.support.host import HostProcess, LogLine, write_agent
from tests.support.protocols import RunHost

CODE = """
import asyncio
import logging
import os
import subprocess
import sys
import threading

from agenthost import JobContext

logging.getLogger().addHandler(logging.StreamHandler())  # as an application does that also runs by itself
log = logging.getLogger("shop.orders")


def fail() -> None:
    raise ValueError("in a thread")


async def entrypoint(ctx: JobContext) -> None:
    ctx.log_context_fields = {"caller": ctx.job.metadata}
    print("printed by", ctx.job.metadata)
    log.info("logged by %s", ctx.job.metadata, extra={"tokens": 5})
    log.debug("not to be seen")
    logging.getLogger("livekit").info("not to be seen")
    logging.getLogger("livekit").warning("library for %s", ctx.job.metadata)
    os.write(1, f"native from {ctx.job.metadata}\\n".encode())
    print('{"event": "object of %s", "level": "warning", "job_id": "AJ_0"}' % ctx.job.metadata)
    sys.stderr.write("".join(f"2026-11-29 18:20:41.107 | INFO | {n} of {ctx.job.metadata}\\n" for n in "12"))
    await asyncio.sleep(0.1)
    subprocess.run(["sh", "-c", f"echo child of {ctx.job.metadata}"])
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    await asyncio.sleep(0.1)
    sys.stdout.write(f"last words of {ctx.job.metadata}")
"""

YAML = """
version: 1
agent_name: talker
entrypoint: my_agent:entrypoint
num_idle_processes: 0
http: {{ listen: none }}
log_format: {{ format: json{rename} }}
log_levels: {{ livekit: WARNING }}
"""


def job_yaml(rename: str = "") -> str:
    return YAML.format(rename=f", rename: {rename}" if rename else "")


async def run_two_jobs(host: HostProcess, server: FakeLiveKitServer) -> dict[str, str]:
    """Two jobs at the same time, run to their end; their ids by what they call themselves."""
    await server.wait_registered("talker")
    offers = await asyncio.gather(
        *(server.offer(room=f"room-{name}", agent_name="talker", metadata=name) for name in ("one", "two"))
    )
    for offer in offers:
        await server.wait_status(offer.job_id, JobStatus.SUCCESS)
    return {name: offer.job_id for name, offer in zip(("one", "two"), offers, strict=True)}


@pytest.fixture
async def told(tmp_path: Path, fake_server: FakeLiveKitServer, run_any_host: RunHost) -> dict[str, list[LogLine]]:
    """All lines that carry the id of one of two jobs, by the job's own name."""
    host = await run_any_host(write_agent(tmp_path, CODE, job_yaml()), server=fake_server)
    jobs = await run_two_jobs(host, fake_server)
    for job_id in jobs.values():
        await host.wait_event("job ended", job_id=job_id)
    assert host.stray == []
    return {name: [line for line in host.lines if line.fields.get("job_id") == job_id] for name, job_id in jobs.items()}


SAID = (
    ("printed by {}", "INFO", "stdout"),
    ("logged by {}", "INFO", "shop.orders"),
    ("library for {}", "WARNING", "livekit"),
    ("native from {}", "INFO", "stdout"),
    ("child of {}", "INFO", "stdout"),
    ("object of {}", "WARNING", "stdout"),
    ("2026-11-29 18:20:41.107 | INFO | 1 of {}", "INFO", "stderr"),
    ("2026-11-29 18:20:41.107 | INFO | 2 of {}", "INFO", "stderr"),
    ("ValueError: in a thread", "ERROR", "stderr"),
    ("last words of {}", "INFO", "stdout"),
)


async def test_whatever_a_job_says_is_told_once_and_as_its_own(told: dict[str, list[LogLine]]) -> None:
    """Prints, records, libraries, native code, children, threads: agent, job, room and process are on each line."""
    for job, lines in told.items():
        own = [line for line in lines if not line.name.startswith("agenthost.")]
        assert sorted((line.message, line.level, line.name) for line in own) == sorted(
            (message.format(job), level, name) for message, level, name in SAID
        )
        assert {(line.fields["agent"], line.fields["room"]) for line in own} == {("talker", f"room-{job}")}
        assert all(isinstance(line.fields["pid"], int) for line in own)


async def test_lines_of_two_jobs_do_not_mix(told: dict[str, list[LogLine]]) -> None:
    """Each job's lines come from one process, and none of them is about the other job."""
    pids = {job: {line.fields["pid"] for line in lines if line.name == "stdout"} for job, lines in told.items()}
    assert len(pids["one"]) == len(pids["two"]) == 1
    assert pids["one"] != pids["two"]
    assert not [line for line in told["one"] if line.message.endswith("two")]


async def test_context_fields_of_the_user_are_on_the_records(told: dict[str, list[LogLine]]) -> None:
    """What `ctx.log_context_fields` holds is on every record of the job, libraries' included; `extra=` as well."""
    by_message = {line.message: line.fields for line in told["one"]}
    assert by_message["logged by one"]["caller"] == by_message["library for one"]["caller"] == "one"
    assert by_message["logged by one"]["tokens"] == 5


async def test_everything_a_job_said_comes_before_its_end(told: dict[str, list[LogLine]]) -> None:
    """Who reads `job ended` has seen the job's last line."""
    for lines in told.values():
        messages = [line.message for line in lines]
        ended = messages.index("job ended")
        assert all(not message.startswith(("last words", "ValueError")) for message in messages[ended:])


async def test_levels_and_names_are_those_of_the_file(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> None:
    """Host and jobs write one format: renamed fields, quiet where the file says quiet."""
    file = write_agent(tmp_path, CODE, job_yaml("{ level: severity, message: msg }"))
    host = await run_host(file, server=fake_server)
    await run_two_jobs(host, fake_server)
    host.signal(15)
    assert await host.exit_code() == 0
    bodies = [line.fields for line in host.lines]
    assert host.stray == []
    assert all({"timestamp", "severity", "msg", "pid"} <= body.keys() for body in bodies)
    assert "not to be seen" not in json.dumps(bodies)
    assert {"INFO", "WARNING"} <= {body["severity"] for body in bodies}
