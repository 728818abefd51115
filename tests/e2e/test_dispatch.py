"""`agenthost dispatch` against a real server: each of its answers, and how it finds the server."""

import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from agenthost.errors import ExitCode
from tests.support.host import HostProcess, write_agent
from tests.support.protocols import RunHost
from tests.support.real_server import RealLiveKitServer, free_port

pytestmark = pytest.mark.e2e

JOINS = """
async def entrypoint(ctx):
    await ctx.connect()
"""
TELLS_METADATA = """
import logging

async def entrypoint(ctx):
    logging.getLogger("told").info(f"metadata {ctx.job.metadata}")
    await ctx.connect()
"""
STAYS_OUTSIDE = """
import asyncio

async def entrypoint(ctx):
    await asyncio.sleep(60)
"""
FILE = """
version: 1
agent_name: {name}
entrypoint: my_agent:entrypoint
http: {{ listen: none }}
drain_timeout: 100ms
load: {{ max_jobs: 9 }}
requests: {{ otherwise: {otherwise} }}
"""


@pytest.fixture
def name() -> str:
    """An agent name that no other test has used on this server."""
    return f"agent-{uuid.uuid4().hex[:8]}"


async def _host(
    run_host: RunHost, server: RealLiveKitServer, folder: Path, name: str, code: str = JOINS, otherwise: str = "accept"
) -> HostProcess:
    host = await run_host(write_agent(folder, code, FILE.format(name=name, otherwise=otherwise)), server=server)
    await host.wait_event("registered", agent=name)
    return host


async def _dispatch(
    run_host: RunHost, *arguments: str, server: RealLiveKitServer | None = None, env: Mapping[str, str] | None = None
) -> tuple[int, HostProcess]:
    command = await run_host(*arguments, command="dispatch", server=server, env=env)
    return await command.exit_code(timeout=30), command


async def test_agent_that_joins_is_reported_with_its_identity(
    run_host: RunHost, livekit_server: RealLiveKitServer, tmp_path: Path, name: str
) -> None:
    """The agent is in the room, under this identity, with the metadata it was given."""
    host = await _host(run_host, livekit_server, tmp_path, name)
    code, command = await _dispatch(run_host, name, "--room", f"room-{name}", server=livekit_server)
    assert code == ExitCode.OK, command.output()
    job = await host.wait_event("job connected", room=f"room-{name}")
    (line,) = command.stray
    assert line.startswith(f"agent-{job.fields['job_id']} joined room-{name} after ")


async def test_second_dispatch_waits_for_its_own_agent(
    run_host: RunHost, livekit_server: RealLiveKitServer, tmp_path: Path, name: str
) -> None:
    """An agent that was there before is not mistaken for the one that was asked for."""
    await _host(run_host, livekit_server, tmp_path, name)
    identities = []
    for _ in range(2):
        code, command = await _dispatch(
            run_host, name, "--room", f"room-{name}", "--format", "json", server=livekit_server
        )
        assert code == ExitCode.OK, command.output()
        identities.append(_json(command)["identity"])
    assert len(set(identities)) == 2


async def test_new_room_is_dispatched_once_to_agents_without_a_name(
    run_host: RunHost, livekit_binary: Path, tmp_path: Path
) -> None:
    """A new room calls them by itself: that one call has the metadata, and there is no second one to reject."""
    env = {"XDG_RUNTIME_DIR": str(tmp_path / "run"), "AGENTHOST_LIVEKIT_SERVER": str(livekit_binary)}
    (tmp_path / "run").mkdir(mode=0o700)
    text = FILE.format(name='""', otherwise="accept") + "log_format: json\n"
    file = write_agent(tmp_path, TELLS_METADATA, text)
    host = await run_host(file, command="dev", env=env)
    await host.wait_event("registered")
    for room in ("one", "two", "three", "four"):
        code, command = await _dispatch(run_host, "", str(file), "--room", room, "--metadata", "gold", env=env)
        assert code == ExitCode.OK, command.output()
    assert len(host.events("metadata gold")) == 4
    assert host.events("offer rejected") == []


async def test_short_secret_is_nothing_to_warn_about(run_host: RunHost) -> None:
    """`livekit-server --dev` has the secret `secret`: one line says what is wrong, and no library speaks."""
    env = {"LIVEKIT_URL": f"ws://127.0.0.1:{free_port()}", "LIVEKIT_API_KEY": "devkey", "LIVEKIT_API_SECRET": "secret"}
    _, command = await _dispatch(run_host, "anyone", "--room", "room", env=env)
    assert len(command.stderr.splitlines()) == 1


async def test_name_that_nobody_registered_is_said(
    run_host: RunHost, livekit_server: RealLiveKitServer, name: str
) -> None:
    """The usual mistake, a misspelt name, gets an answer instead of a silent room."""
    code, command = await _dispatch(run_host, name, "--room", f"room-{name}", "--timeout", "7", server=livekit_server)
    assert code == ExitCode.FAILURE
    assert command.stray[0].startswith(f"no agent `{name}` in room-{name} after ")
    assert "no host has registered this agent name" in command.stray[1]


async def test_room_that_no_agent_without_a_name_joins_is_said(
    run_host: RunHost, livekit_server: RealLiveKitServer, name: str
) -> None:
    """The answer names what was looked for, also where that has no name; after a second there is no telling why."""
    code, command = await _dispatch(run_host, "", "--room", f"room-{name}", "--timeout", "1", server=livekit_server)
    assert code == ExitCode.FAILURE
    assert command.stray[0].startswith(f"no agent without a name in room-{name} after ")
    assert command.stray[1].startswith("too early to tell why")


async def test_job_that_was_ended_for_good_is_said(
    run_host: RunHost, livekit_server: RealLiveKitServer, tmp_path: Path, name: str
) -> None:
    """A rule that says terminate is not the same as nobody there."""
    await _host(run_host, livekit_server, tmp_path, name, otherwise="terminate")
    code, command = await _dispatch(
        run_host, name, "--room", f"room-{name}", "--timeout", "7", "--format", "json", server=livekit_server
    )
    assert (code, _json(command)["answer"]) == (ExitCode.FAILURE, "declined")


async def test_agent_that_took_the_job_and_does_not_join_is_said(
    run_host: RunHost, livekit_server: RealLiveKitServer, tmp_path: Path, name: str
) -> None:
    """Then the place to look is the host's log, and the answer says so."""
    host = await _host(run_host, livekit_server, tmp_path, name, code=STAYS_OUTSIDE)
    code, command = await _dispatch(
        run_host, name, "--room", f"room-{name}", "--timeout", "7", "--format", "json", server=livekit_server
    )
    assert (code, _json(command)["answer"]) == (ExitCode.FAILURE, "absent")
    assert host.events("job started", room=f"room-{name}")


async def test_wrong_secret_names_the_key_and_no_secret(run_host: RunHost, livekit_server: RealLiveKitServer) -> None:
    """Exit 77, with the server and the key to look at."""
    env = livekit_server.environment | {"LIVEKIT_API_SECRET": "wrong-" * 8}
    code, command = await _dispatch(run_host, "anyone", "--room", "room", env=env)
    assert code == ExitCode.REFUSED
    assert livekit_server.url in command.stderr
    assert livekit_server.api_key in command.stderr
    assert "wrong-wrong" not in command.output()


async def test_server_that_is_not_there_is_unreachable(run_host: RunHost) -> None:
    """Exit 69 and the address, no traceback."""
    env = {"LIVEKIT_URL": f"ws://127.0.0.1:{free_port()}", "LIVEKIT_API_KEY": "k", "LIVEKIT_API_SECRET": "s" * 32}
    code, command = await _dispatch(run_host, "anyone", "--room", "room", env=env)
    assert code == ExitCode.UNREACHABLE
    assert command.stderr.startswith(f"agenthost: cannot reach the LiveKit server at {env['LIVEKIT_URL']}")
    assert "Traceback" not in command.stderr


async def test_without_any_server_the_ways_to_name_one_are_said(run_host: RunHost, tmp_path: Path) -> None:
    """Nothing runs and nothing is configured."""
    code, command = await _dispatch(run_host, "anyone", "--room", "room", env={"XDG_RUNTIME_DIR": str(tmp_path)})
    assert code == ExitCode.UNREACHABLE
    assert "start `agenthost dev`, or set LIVEKIT_URL or --url" in command.stderr


async def test_url_without_keys_is_a_usage_error(run_host: RunHost) -> None:
    """It names the two variables."""
    code, command = await _dispatch(run_host, "anyone", "--room", "room", "--url", "ws://127.0.0.1:1")
    assert code == ExitCode.USAGE
    assert "LIVEKIT_API_KEY and LIVEKIT_API_SECRET" in command.stderr


async def test_local_server_of_a_running_dev_is_found_by_its_file(
    run_host: RunHost, livekit_binary: Path, tmp_path: Path, name: str
) -> None:
    """`agenthost dev` here, `agenthost dispatch` in another terminal: no variable, no key."""
    env = {"XDG_RUNTIME_DIR": str(tmp_path / "run"), "AGENTHOST_LIVEKIT_SERVER": str(livekit_binary)}
    (tmp_path / "run").mkdir(mode=0o700)
    file = write_agent(tmp_path, JOINS, FILE.format(name=name, otherwise="accept") + "log_format: json\n")
    host = await run_host(file, command="dev", env=env)
    await host.wait_event("registered", agent=name)
    code, command = await _dispatch(run_host, name, str(file), "--room", "room", env=env)
    assert code == ExitCode.OK, command.output()


def _json(command: HostProcess) -> dict[str, Any]:
    """The command's one line of JSON."""
    (line,) = command.lines
    return {**line.fields}
