"""No secret in anything that a host writes or shows: every channel, the most talkative level, jobs that fail."""

import re
from pathlib import Path

import pytest

from agenthost.jobs import JobStatus
from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.support.host import HostProcess, write_agent
from tests.support.protocols import RunHost

CANARY = "canary-7f3e91-of-a-user"
TOKEN = re.compile(r"eyJ[\w-]{10,}\.[\w-]{10,}")  # a signed token: worker's, job's or API's

CODE = """
import os
import signal

from livekit import api

from agenthost import JobContext, JobRequest


async def answer(request: JobRequest) -> None:
    await request.accept(metadata=os.environ["OPENAI_API_KEY"])


async def entrypoint(ctx: JobContext) -> None:
    key = os.environ["OPENAI_API_KEY"]
    settings = dict(ctx.settings)
    match ctx.job.metadata:
        case "raise":
            raise ValueError("boom")
        case "connect":
            await ctx.connect()
        case "api":
            await ctx.api.room.remove_participant(api.RoomParticipantIdentity(room="no such room", identity="x"))
        case "crash":
            os.kill(os.getpid(), signal.SIGKILL)
"""

YAML = """
version: 1
agent_name: keeper
entrypoint: my_agent:entrypoint
log_level: TRACE
log_levels: { livekit: TRACE, aiohttp: TRACE, asyncio: TRACE }
http: { listen: "127.0.0.1:0" }
requests: { handler: my_agent:answer }
env: { OPENAI_API_KEY: "${OPENAI_API_KEY}" }
settings: { key: "${OPENAI_API_KEY}" }
"""


@pytest.fixture
async def host(tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost) -> HostProcess:
    """A host that has run one job of each kind, and stays."""
    file = write_agent(tmp_path, CODE, YAML)
    host = await run_host(file, server=fake_server, env={"OPENAI_API_KEY": CANARY})
    await fake_server.wait_registered("keeper")
    for kind in ("raise", "api", "crash", "connect"):
        offer = await fake_server.offer(room=f"room-{kind}", agent_name="keeper", metadata=kind)
        assert offer.assigned, host.output()
        await fake_server.wait_status(offer.job_id, JobStatus.FAILED, timeout=40)
        await host.wait_event("job ended", job_id=offer.job_id)
    return host


def leaks(text: str, server: FakeLiveKitServer) -> list[str]:
    """What in `text` is nobody's business."""
    return [secret for secret in (CANARY, server.api_secret) if secret in text] + TOKEN.findall(text)


async def test_nothing_that_a_host_shows_holds_a_secret(host: HostProcess, fake_server: FakeLiveKitServer) -> None:
    """Logs, errors, HTTP bodies and command lines, also when jobs fail and everything is logged."""
    shown = {path: (await host.http(path))[1] for path in ("/worker", "/metrics", "/readyz")}
    shown |= {f"argv {process.pid}": " ".join(process.cmdline()) for process in host.survivors()}
    shown["log"] = "\n".join(repr(line) for line in host.lines)
    shown["stray"] = "\n".join(host.stray)
    shown["stderr"] = host.stderr
    assert {where: found for where, text in shown.items() if (found := leaks(text, fake_server))} == {}


async def test_statuses_on_the_wire_hold_no_secret(host: HostProcess, fake_server: FakeLiveKitServer) -> None:
    """The server's own log shows what a worker reports."""
    reported = [repr(fake_server.statuses(offer.job_id)) for offer in fake_server.offers]
    assert len(reported) == 4
    assert all(leaks(offer.token, fake_server) for offer in fake_server.offers), "a token is found where there is one"
    assert [found for text in reported if (found := leaks(text, fake_server))] == []
