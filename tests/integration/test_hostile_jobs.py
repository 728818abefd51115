"""What job code can learn of its host, and what it cannot; and a server whose name nobody knows."""

from pathlib import Path

import pytest

from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.support.agent_host import start_agent
from tests.support.protocols import RunHost

ASKS = """
ASK = (
    "import socket, sys\\n"
    "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\\n"
    "s.send(b'GET /status HTTP/1.1\\\\r\\\\nHost: localhost\\\\r\\\\nConnection: close\\\\r\\\\n\\\\r\\\\n')\\n"
    "print(s.recv(4096).decode())\\n"
)

async def entrypoint(ctx: JobContext) -> None:
    script = Path("agenthost-statö.sh")  # its process has the first 15 bytes for a name: half a letter at the end
    script.write_text('#!/bin/sh\\n"$@"\\nexit $?')
    script.chmod(0o755)
    asked = subprocess.run([script.absolute(), sys.executable, "-c", ASK, "run.sock"], capture_output=True, check=True)
    tell(ctx, answer=asked.stdout.decode())
    await until("enough")
"""


async def test_job_may_ask_its_host_as_whatever_else_has_its_user(
    run_any_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path
) -> None:
    """There is no border between the two, and what a process is called makes no difference."""
    agent = await start_agent(run_any_host, fake_server, tmp_path, ASKS, "control: { socket: run.sock }")
    job, _ = await agent.start_job()
    assert " 200 " in (await agent.wait_facts(job))["answer"].splitlines()[0]
    agent.let_go("enough")


async def test_name_that_does_not_resolve_is_told_with_what_to_check(
    run_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path
) -> None:
    """The host waits for it as for any server that is away."""
    env = {"LIVEKIT_URL": "ws://no-such-host.invalid:7880"}
    agent = await start_agent(run_host, fake_server, tmp_path, LISTS, env=env, ready=False)
    lost = await agent.host.wait_event("registration failed", count=2, timeout=40)
    assert "host name no-such-host.invalid cannot be resolved" in lost.fields["reason"]
    assert "check LIVEKIT_URL" in lost.fields["reason"]


SPY = """
import ctypes

PTRACE_ATTACH, PIDFD_OPEN, PIDFD_GETFD = 16, 434, 438

def refused(attempt):
    try:
        attempt()
    except OSError as error:
        return type(error).__name__
    return "done"

def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result

async def entrypoint(ctx: JobContext) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    host = os.getppid()

    def take_descriptor():
        pidfd = checked(libc.syscall(PIDFD_OPEN, host, 0))
        checked(libc.syscall(PIDFD_GETFD, pidfd, 3, 0))

    tell(
        ctx,
        host=host,
        environ=refused(lambda: Path(f"/proc/{host}/environ").read_bytes()),
        memory=refused(lambda: open(f"/proc/{host}/mem", "rb").close()),
        maps=refused(lambda: Path(f"/proc/{host}/maps").read_text()),
        descriptor=refused(take_descriptor),
        trace=refused(lambda: checked(libc.ptrace(PTRACE_ATTACH, host, 0, 0))),
    )
    await until("enough")
"""

LISTS = """
async def entrypoint(ctx: JobContext) -> None:
    links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    tell(ctx, own=[os.readlink(link) for link in links if os.path.islink(link)])
    await until("enough")
"""

UNTRACED = ("setpriv", "--bounding-set=-sys_ptrace,-perfmon,-sys_admin")
"""As in a container, where not even root may look into processes that do not let it."""


@pytest.mark.machine
async def test_no_job_looks_into_its_host(
    run_any_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path
) -> None:
    """Environment, memory and sockets of the host are closed to a job of the same user; it cannot trace it."""
    agent = await start_agent(run_any_host, fake_server, tmp_path, SPY, under=UNTRACED)
    job, _ = await agent.start_job()
    facts = await agent.wait_facts(job)
    assert facts["host"] == agent.host.pid
    attempts = ("environ", "memory", "maps", "descriptor", "trace")
    assert {name: facts[name] for name in attempts} == dict.fromkeys(attempts, "PermissionError")
    agent.let_go("enough")


async def test_jobs_share_no_socket_and_no_pipe(
    run_any_host: RunHost, fake_server: FakeLiveKitServer, tmp_path: Path
) -> None:
    """A job was forked from a template that has seen many: it has its own channel and output, and nobody else's, nor
    any of the host's."""
    agent = await start_agent(run_any_host, fake_server, tmp_path, LISTS, "num_idle_processes: 3")
    jobs = [await agent.start_job() for _ in range(3)]
    theirs = [await agent.wait_facts(job) for job, _ in jobs]
    channels = [{name for name in facts["own"] if name.startswith(("socket:", "pipe:"))} for facts in theirs]
    assert all(channels)
    for number, mine in enumerate(channels):
        others = set().union(*(channels[other] for other in range(3) if other != number))
        assert mine & others == set()
    agent.let_go("enough")
