"""A real server behind TLS with a certificate of a private CA: what hosts, jobs and commands need to trust it."""

import uuid
from pathlib import Path

import pytest

from tests.support.host import HostProcess, write_agent
from tests.support.protocols import Join, RunHost
from tests.support.real_server import RealLiveKitServer
from tests.support.tls import PrivateCA, TlsFront

pytestmark = pytest.mark.e2e

CODE = """
from livekit import api
from agenthost import JobContext

async def entrypoint(ctx: JobContext) -> None:
    await ctx.connect()
    there = await ctx.api.room.list_participants(api.ListParticipantsRequest(room=ctx.room.name))
    print(f"{len(there.participants)} in the room")
"""
FILE = """
version: 1
agent_name: {name}
entrypoint: my_agent:entrypoint
http: {{ listen: none }}
control: {{ socket: none }}
load: {{ max_jobs: 5 }}
drain_timeout: 100ms
"""


async def test_private_ca_serves_host_job_api_and_commands(
    run_host: RunHost, livekit_server: RealLiveKitServer, participant: Join, tmp_path: Path
) -> None:
    """One variable, SSL_CERT_FILE: for the worker's websocket, the job's connection, `ctx.api`, and `dispatch`."""
    name = f"agent-{uuid.uuid4().hex[:8]}"
    ca = PrivateCA(tmp_path)
    async with TlsFront(ca.context()).to(livekit_server.port) as front:
        env = {"LIVEKIT_URL": front.url, "SSL_CERT_FILE": str(ca.file)}
        file = write_agent(tmp_path, CODE, FILE.format(name=name))
        host = await run_host(file, server=livekit_server, env=env)
        await host.wait_event("registered")
        await participant(f"room-{name}")
        variables = {**livekit_server.environment, **env}
        command = HostProcess("dispatch", name, "--room", f"room-{name}", cwd=tmp_path, env=variables)
        await command.start()
        assert await command.exit_code(timeout=40) == 0, command.output()
        await host.wait_event("2 in the room", timeout=30)
