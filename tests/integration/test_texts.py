"""Texts that are none, from the server, from handlers and from jobs, in a real host with a call running."""

import json
import re
from pathlib import Path

import pytest

from agenthost.jobs import JobStatus
from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.version import __version__
from tests.support.host import HostProcess, write_agent
from tests.support.protocols import RunHost

CODE = """
import asyncio
import json
import logging
import sys
from pathlib import Path

from agenthost import JobContext, JobRequest


async def entrypoint(ctx: JobContext) -> None:
    if ctx.job.metadata == "call":
        while not Path("enough").exists():
            await asyncio.sleep(0.02)


async def rename(request: JobRequest) -> None:
    if request.job.metadata == "call":
        await request.accept()
        return
    half = json.loads(request.job.metadata)["name"]
    await request.accept(name=half, metadata=half, attributes={"who": half, half: "x"})


async def print_and_fail(ctx: JobContext) -> None:
    hostile = "a\\ud83d\\0\\x1b[2J\\x9b2J\\u202e\\x85b"
    print(hostile)
    print("z" * 5_000_000)
    logging.getLogger(hostile).warning("logged %s", hostile, extra={hostile: hostile})
    print(hostile, file=sys.stderr)
    raise ValueError(hostile + "y" * 20_000_000)
"""

YAML = """
version: 1
agent_name: named
entrypoint: my_agent:{entrypoint}
num_idle_processes: 0
http: {{ listen: "127.0.0.1:0" }}
requests: {{ {requests} }}
"""
HALF = json.dumps({"name": "Ann \ud83d"})
BAD = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


async def start(
    folder: Path,
    server: FakeLiveKitServer,
    run_host: RunHost,
    *arguments: str,
    requests: str = "",
    code: str = "entrypoint",
) -> HostProcess:
    yaml = YAML.format(entrypoint=code, requests=requests)
    host = await run_host(write_agent(folder, CODE, yaml), *arguments, server=server)
    await server.wait_registered("named")
    return host


@pytest.mark.parametrize(
    ("requests", "keys"),
    [
        (
            "rules: [{ name: calls, when: { job.metadata: call }, action: accept }], otherwise: accept, "
            'accept: { name: "{job.metadata.name}" }'.replace(
                "action: accept }", "action: accept, accept: { name: x } }"
            ),
            ["name"],
        ),
        ("handler: my_agent:rename", ["name", "metadata", "attributes.who", "attributes.Ann \ufffd"]),
    ],
    ids=["template", "handler"],
)
async def test_half_an_emoji_ends_no_call_and_takes_the_next(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost, requests: str, keys: list[str]
) -> None:
    """1. A call runs. 2. Another one is offered whose name is cut within an emoji: it is accepted, with U+FFFD in its
    place, in the job too. 3. It is said once for each key, not for each offer. 4. The first call has not noticed."""
    host = await start(tmp_path, fake_server, run_host, requests=requests)
    call = await fake_server.offer("call", agent_name="named", metadata="call")
    await fake_server.wait_status(call.job_id, JobStatus.RUNNING)
    for number in range(3):
        result = await fake_server.offer(f"room-{number}", agent_name="named", metadata=HALF)
        assert (result.assigned, result.answer.name) == (True, "Ann \ufffd")
        await fake_server.wait_status(result.job_id, JobStatus.SUCCESS)
    assert [line.fields["key"] for line in host.events("text replaced")] == keys
    assert {line.level for line in host.events("text replaced")} == {"WARNING"}
    (tmp_path / "enough").touch()
    assert (await fake_server.wait_status(call.job_id, JobStatus.SUCCESS)).heeded
    assert host.running


@pytest.mark.parametrize("format_", ["json", "rich"])
async def test_hostile_output_of_a_job_acts_on_no_terminal(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost, format_: str
) -> None:
    """Prints, records and errors with half a pair, NUL, control sequences, bidi controls and megabytes: the job ends by
    its own error and is not cut off, every line is UTF-8, bounded, and holds nothing that a terminal acts on."""
    host = await start(tmp_path, fake_server, run_host, "--set", f"log_format.format={format_}", code="print_and_fail")
    result = await fake_server.offer("room", agent_name="named")
    ended = await fake_server.wait_status(result.job_id, JobStatus.FAILED)
    assert ended.error.startswith("ValueError: a\ufffd\0\x1b[2J")
    assert len(ended.error) < 3000
    if format_ == "json":
        await host.wait_event("job ended", job_id=result.job_id)
        (printed,) = [line for line in host.lines if line.name == "stdout" and line.message.startswith("a")]
        assert printed.message.startswith("a\\ud83d")
        assert [line for line in host.lines if line.name == "stdout" and "(cut, 5000000 bytes)" in line.message]
        (logged,) = [line for line in host.lines if line.message.startswith("logged")]
        assert logged.message == "logged a\ufffd\0\x1b[2J\x9b2J\u202e\x85b"
        assert host.stray == []
        return
    host.signal(2)
    await host.exit_code()
    assert len(host.stray) > 5
    assert [text for text in host.stray if BAD.search(text)] == []
    assert [text for text in host.stray if text[:1] not in ("", " ", "0", "1", "2")] == [
        f"agenthost {__version__} · start · agenthost.yaml"
    ]
    assert max(map(len, host.stray)) < 200_000
