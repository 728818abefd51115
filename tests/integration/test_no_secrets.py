"""No secret in anything that a host writes or shows: every channel, the most talkative level, jobs that fail."""

import re
import signal
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
async def host(tmp_path: Path, fake_server: FakeLiveKitServer, run_any_host: RunHost) -> HostProcess:
    """A host that has run one job of each kind, and stays. All its temporary files are in the test's folder."""
    file = write_agent(tmp_path, CODE, YAML)
    (tmp_path / "temporary").mkdir()
    host = await run_any_host(file, server=fake_server, env={"OPENAI_API_KEY": CANARY, **places(tmp_path)})
    await fake_server.wait_registered("keeper")
    for kind in ("raise", "api", "crash", "connect"):
        offer = await fake_server.offer(room=f"room-{kind}", agent_name="keeper", metadata=kind)
        assert offer.assigned, host.output()
        await fake_server.wait_status(offer.job_id, JobStatus.FAILED, timeout=40)
        await host.wait_event("job ended", job_id=offer.job_id)
    return host


def places(folder: Path) -> dict[str, str]:
    """Where a program may write."""
    return {"TMPDIR": str(folder / "temporary"), "XDG_RUNTIME_DIR": str(folder / "temporary")}


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


async def test_no_process_below_a_host_has_its_secret_in_the_environment(
    host: HostProcess, fake_server: FakeLiveKitServer
) -> None:
    """Base, template, hook process, idle processes and jobs; only the host was given it. A job's own token is in its
    memory alone."""
    below = [process.pid for process in host.survivors() if process.pid != host.pid]
    environments = {pid: Path(f"/proc/{pid}/environ").read_text(errors="replace") for pid in below}
    assert len(environments) >= 3
    assert all(CANARY not in text or "OPENAI_API_KEY" in text for text in environments.values())
    assert {pid for pid, text in environments.items() if fake_server.api_secret in text or TOKEN.search(text)} == set()


async def test_no_file_holds_a_secret(host: HostProcess, fake_server: FakeLiveKitServer) -> None:
    """Nothing that was written beside the file, nor where temporary files go, while it runs and after it."""
    folder = host.cwd

    def found() -> dict[str, list[str]]:
        files = [path for path in folder.rglob("*") if path.is_file()]
        texts = {str(path): path.read_text(errors="replace") for path in files}
        return {name: what for name, text in texts.items() if (what := leaks(text, fake_server))}

    assert found() == {}
    host.signal(signal.SIGKILL)
    await host.exit_code()
    assert found() == {}


COMMANDS = (
    ["config", "show"],
    ["config", "show", "--resolved"],
    ["validate"],
    ["validate", "--connect"],
    ["status"],
    ["status", "--format", "json"],
    ["plan"],
    ["reload", "--format", "json"],
    ["explain", "keeper"],
    ["dispatch", "keeper", "--room", "room-asked"],
    ["stop"],
)


async def test_no_command_shows_a_secret(tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost) -> None:
    """Each command of the program, asked of a file with secrets in it and of the host that runs it."""
    (tmp_path / "temporary").mkdir()
    env = {"OPENAI_API_KEY": CANARY, **places(tmp_path)}
    host = await run_host(write_agent(tmp_path, CODE, YAML), server=fake_server, env=env)
    await fake_server.wait_registered("keeper")
    await host.wait_event("host started")
    shown = {}
    for words in COMMANDS:
        command = HostProcess(*words, cwd=tmp_path, env={**fake_server.environment, **env})
        await command.start()
        await command.exit_code(timeout=40)
        shown[" ".join(words)] = "\n".join([*map(repr, command.lines), *command.stray, command.stderr])
    assert all(shown.values()), "each says something"
    assert {name: found for name, text in shown.items() if (found := leaks(text, fake_server))} == {}


BROKEN = (
    "env: { OPENAI_API_KEY: '${OPENAI_API_KEY}', LD_PRELOAD: '${OPENAI_API_KEY}' }",
    "settings: { key: '${OPENAI_API_KEY}' }\nlog_level: '${OPENAI_API_KEY}'",
    "livekit: { api_key: '${OPENAI_API_KEY}', api_secret: '${OPENAI_API_KEY}', url: '${OPENAI_API_KEY}' }",
    "load: { max_jobs: '${OPENAI_API_KEY}' }",
    "http: { listen: '${OPENAI_API_KEY}' }",
    "requests: { rules: [{ name: x, when: { participant.kind: '${OPENAI_API_KEY}' }, action: accept }] }",
    "requests: { rules: [{ name: x, when: { time.hour: '${OPENAI_API_KEY}' }, action: accept }] }",
    "requests: { rules: [{ name: x, when: { sample: '${OPENAI_API_KEY}' }, action: '${OPENAI_API_KEY}' }] }",
    "timezone: '${OPENAI_API_KEY}'",
    "entrypoint: '${OPENAI_API_KEY}:x'",
    "requests: { accept: { identity: '{${OPENAI_API_KEY}}' } }",
    "requests: { rules: [{ name: x, when: { room.name: '/${OPENAI_API_KEY}(/' }, action: accept }] }",
)


@pytest.mark.parametrize("keys", BROKEN, ids=range(len(BROKEN)))
async def test_no_finding_shows_what_a_variable_holds(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost, keys: str
) -> None:
    """A value from the environment in the wrong place: the finding names the variable or the key, not the value."""
    write_agent(tmp_path, CODE, f"version: 1\nagent_name: keeper\nentrypoint: my_agent:entrypoint\n{keys}\n")
    for words in (["validate"], ["start"], ["config", "show"]):
        command = HostProcess(*words, cwd=tmp_path, env={**fake_server.environment, "OPENAI_API_KEY": CANARY})
        await command.start()
        await command.exit_code(timeout=40)
        said = "\n".join([*map(repr, command.lines), *command.stray, command.stderr])
        assert leaks(said, fake_server) == [], said
