"""The local server as `dev` and `server run` start it: the real program, loopback only, usable by a client."""

import asyncio
import os
import signal
import time
from pathlib import Path

import psutil
import pytest
from livekit import api, rtc

from agenthost.livekit_server import session_file
from agenthost.livekit_server.connection import Connection
from agenthost.livekit_server.run import FORCE_SECONDS, LEAVE_SECONDS, LocalServer
from tests.support.polling import poll
from tests.support.protocols import RunHost
from tests.support.real_server import free_port

pytestmark = pytest.mark.e2e


async def _join(connection: Connection, room: str, identity: str = "caller") -> rtc.Room:
    token = api.AccessToken(connection.api_key, connection.api_secret).with_identity(identity)
    token.with_grants(api.VideoGrants(room_join=True, room=room))
    joined = rtc.Room()
    await joined.connect(connection.url, token.to_jwt())
    return joined


async def test_clients_can_join_and_every_port_is_on_loopback(livekit_binary: Path) -> None:
    """A room works, and nobody outside this machine can reach the server: neither HTTP nor media."""
    async with LocalServer(livekit_binary, log=lambda line: None) as server:
        room = await _join(server.connection, "room")
        listening = psutil.Process(server.pid).net_connections("inet")
        hosts = {c.laddr.ip for c in listening if c.status in (psutil.CONN_LISTEN, psutil.CONN_NONE)}
        await room.disconnect()
    assert hosts == {"127.0.0.1"}


async def test_participants_that_stay_do_not_hold_up_the_end(livekit_binary: Path) -> None:
    """A browser tab left open must not keep `agenthost dev` from ending."""
    async with LocalServer(livekit_binary, log=lambda line: None) as server:
        pid = server.pid
        room = await _join(server.connection, "room")
        began = time.monotonic()
    assert time.monotonic() - began < LEAVE_SECONDS + FORCE_SECONDS + 1
    assert not psutil.pid_exists(pid)
    await room.disconnect()


async def test_participant_that_leaves_is_nothing_to_warn_about(livekit_binary: Path) -> None:
    """Its data channels close, as they should: three long lines about that would bury the agent's own log."""
    lines: list[str] = []
    async with LocalServer(livekit_binary, log=lines.append) as server:
        room, other = [await _join(server.connection, "room", identity) for identity in ("caller", "other")]
        heard = asyncio.Event()
        other.on("data_received", lambda _: heard.set())
        await room.local_participant.publish_data(b"x")
        async with asyncio.timeout(10):
            await heard.wait()  # who leaves while a channel is being opened is told of by another line
        await room.disconnect()
        await other.disconnect()
    assert not [line for line in lines if "data channel" in line]


async def test_log_holds_no_secret(livekit_binary: Path) -> None:
    """Not even the server's own lines give its secret away."""
    lines: list[str] = []
    async with LocalServer(livekit_binary, log=lines.append, log_level="debug") as server:
        await (await _join(server.connection, "room")).disconnect()
        secret = server.api_secret
    assert lines
    assert not [line for line in lines if secret in line]


async def test_server_run_publishes_its_connection_until_ctrl_c(
    run_host: RunHost, livekit_binary: Path, tmp_path: Path
) -> None:
    """`agenthost server run`: other commands find it, Ctrl-C ends it, nothing stays."""
    environ = {"XDG_RUNTIME_DIR": str(tmp_path), "AGENTHOST_LIVEKIT_SERVER": str(livekit_binary)}
    port = free_port()
    command = await run_host("run", "--port", str(port), command="server", env=environ)
    connection = await poll(lambda: session_file.read(None, environ), timeout=10, what=command.output())
    assert connection.url == f"ws://127.0.0.1:{port}"
    room = await _join(connection, "room")
    await room.disconnect()
    command.signal(signal.SIGINT)
    assert await command.exit_code() == 0
    assert connection.api_secret not in command.output()
    assert list((tmp_path / "agenthost").iterdir()) == []


async def test_server_path_prints_the_binary(run_host: RunHost, livekit_binary: Path) -> None:
    """For scripts: the path and nothing else on stdout."""
    command = await run_host("path", command="server", env={"AGENTHOST_LIVEKIT_SERVER": str(livekit_binary)})
    assert await command.exit_code() == 0
    assert command.stray == [os.fspath(livekit_binary)]
