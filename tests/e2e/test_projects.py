"""Several LiveKit projects on one machine, and production beside development on one: nobody takes a wrong job."""

import json
import uuid
from pathlib import Path

import pytest
from livekit import api

from agenthost.errors import ExitCode
from tests.support.host import HostProcess, write_agent
from tests.support.polling import poll
from tests.support.protocols import RunHost
from tests.support.real_server import RealLiveKitServer

pytestmark = pytest.mark.e2e

CODE = """
import json, os, pathlib
from livekit import api


async def entrypoint(ctx):
    await ctx.connect()
    await ctx.api.room.update_room_metadata(
        api.UpdateRoomMetadataRequest(room=ctx.room.name, metadata=f"seen by {ctx.settings['project']}")
    )
    pathlib.Path("environ.part").write_text(json.dumps(dict(os.environ)))
    pathlib.Path("environ.part").rename("environ.json")
"""
PROJECT = """
agent_name: support
entrypoint: my_agent:entrypoint
env_file: project.env
http: {{ listen: none }}
control: {{ socket: none }}
livekit:
  url: ${{PROJECT_URL}}
  api_key: ${{PROJECT_KEY}}
  api_secret: ${{PROJECT_SECRET}}
settings: {{ project: {project} }}
drain_timeout: 100ms
"""
PROFILES = """
agent_name: {name}
entrypoint: my_agent:entrypoint
http: {{ listen: none }}
control: {{ socket: none }}
log_format: json
drain_timeout: 100ms
requests: {{ otherwise: reject }}
profiles:
  dev: {{ agent_name: {name}-dev, requests: {{ otherwise: accept }} }}
"""
SECONDS = 20.0


async def test_two_projects_are_two_files_that_know_nothing_of_each_other(
    tmp_path: Path, livekit_binary: Path, livekit_server: RealLiveKitServer, run_host: RunHost
) -> None:
    """Scenario 26: each job's API client reaches its own project; no job's environment holds a secret, whatever the
    variable is called that the file takes it from."""
    room = f"projects-{uuid.uuid4().hex[:8]}"
    (tmp_path / "server").mkdir()
    with RealLiveKitServer(livekit_binary, tmp_path / "server") as other:
        servers = {"one": livekit_server, "other": other}
        for project, server in servers.items():
            await _start(run_host, tmp_path / project, project, server)
        for project, server in servers.items():
            async with api.LiveKitAPI(server.url, server.api_key, server.api_secret) as client:
                await client.agent_dispatch.create_dispatch(
                    api.CreateAgentDispatchRequest(agent_name="support", room=room)
                )
                environ = json.loads(await poll(lambda p=project: _told(tmp_path / p), timeout=SECONDS, what=project))
                answer = await client.room.list_rooms(api.ListRoomsRequest(names=[room]))
            assert [found.metadata for found in answer.rooms] == [f"seen by {project}"]
            assert environ["LIVEKIT_URL"] == server.url
            values = "\n".join(environ.values())
            assert livekit_server.api_secret not in values
            assert other.api_secret not in values


async def _start(run_host: RunHost, folder: Path, project: str, server: RealLiveKitServer) -> HostProcess:
    folder.mkdir()
    env = {"PROJECT_URL": server.url, "PROJECT_KEY": server.api_key, "PROJECT_SECRET": server.api_secret}
    (folder / "project.env").write_text("".join(f"{name}={value}\n" for name, value in env.items()))
    host = await run_host(write_agent(folder, CODE, PROJECT.format(project=project)), cwd=folder)
    await host.wait_event("registered")
    return host


def _told(folder: Path) -> str:
    file = folder / "environ.json"
    return file.read_text() if file.exists() else ""


async def test_a_profile_with_another_name_keeps_development_out_of_production(
    tmp_path: Path, livekit_server: RealLiveKitServer, run_host: RunHost
) -> None:
    """Scenario 27: `start` and `dev` of one file on one project. Production refuses every job here, so that the server
    would hand each of them to whoever else has the name; `dev` is offered none, and still answers to its own name."""
    name = f"agent-{uuid.uuid4().hex[:8]}"
    file = write_agent(tmp_path, "async def entrypoint(ctx):\n    await ctx.connect()\n", PROFILES.format(name=name))
    production = await run_host(file, server=livekit_server)
    development = await run_host(file, command="dev", server=livekit_server)
    await production.wait_event("registered", agent=name)
    await development.wait_event("registered", agent=f"{name}-dev")

    assert await _dispatched(run_host, livekit_server, name) != ExitCode.OK
    await production.wait_event("offer rejected")
    assert await _dispatched(run_host, livekit_server, f"{name}-dev") == ExitCode.OK
    assert len(development.events("job accepted")) == 1
    (accepted,) = development.events("job accepted")
    assert accepted.fields["room"] == f"room-of-{name}-dev"
    assert not development.events("offer rejected")
    assert not production.events("job accepted")


async def _dispatched(run_host: RunHost, server: RealLiveKitServer, name: str) -> int:
    """How `agenthost dispatch` ends that asks for an agent of this name."""
    command = await run_host(name, "--room", f"room-of-{name}", command="dispatch", server=server)
    return await command.exit_code(timeout=SECONDS)
