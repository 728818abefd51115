"""The control socket itself: who may use it, who owns it, what it leaves behind."""

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from agenthost.control.client import ControlClient, HostEnded, HostUnreachable, NobodyListens
from agenthost.control.server import ControlSocket
from agenthost.errors import AgentHostError
from agenthost.status import HostState
from tests.integration.control.conftest import Handler, Running

OWNER = """
import asyncio, sys
from pathlib import Path
from agenthost.control.server import ControlSocket
from tests.integration.control.conftest import Handler

async def own() -> None:
    print(await ControlSocket(Path(sys.argv[1]), Handler()).start(), flush=True)
    await asyncio.sleep(60)

asyncio.run(own())
"""


def start_owner(path: Path) -> "subprocess.Popen[str]":
    """Another host on this path; it listens."""
    process = subprocess.Popen([sys.executable, "-c", OWNER, str(path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == f"{path}\n"
    return process


@pytest.fixture
def owner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Iterator[tuple[subprocess.Popen[str], Path]]":
    """Another host, at a path in the runtime folder."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    path = tmp_path / "agenthost" / "other.sock"
    process = start_owner(path)
    with process:
        yield process, path
        process.kill()


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_commands_reach_the_handler(running: Running) -> None:
    """Each of the five, with its answer as a value."""
    client = ControlClient(running.path)
    status = await asyncio.to_thread(client.status)
    assert status == running.handler.host
    assert await asyncio.to_thread(client.plan) == running.handler.planned
    assert await asyncio.to_thread(client.reload) == running.handler.reloaded
    assert (await asyncio.to_thread(client.invite, "a room & more")).token == "token for a room & more"
    assert (await asyncio.to_thread(client.stop, now=False)).pid == os.getpid()
    await asyncio.to_thread(client.stop, now=True)
    assert running.handler.stopped == [False, True]


async def test_slow_reload_does_not_hold_up_a_status(running: Running) -> None:
    """A reload takes as long as the user's imports do."""
    running.handler.may_reload.clear()
    client = ControlClient(running.path)
    reload = asyncio.create_task(asyncio.to_thread(client.reload))
    assert (await asyncio.to_thread(client.status)).state is HostState.RUNNING
    assert not reload.done()
    running.handler.may_reload.set()
    assert (await reload).ok


async def test_only_reading_is_done_by_get(running: Running) -> None:
    """A path that is typed into something cannot end a host."""
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(running.path))) as session:
        for method, path, status in (("GET", "/stop", 405), ("GET", "/reload", 405), ("GET", "/nothing", 404)):
            async with session.request(method, f"http://localhost{path}") as response:
                assert response.status == status
    assert running.handler.stopped == []


async def test_socket_is_for_its_owner_only(running: Running) -> None:
    """Mode 0600, and so is what stands beside it."""
    assert stat.S_IMODE(running.path.stat().st_mode) == 0o600
    assert stat.S_IMODE((running.path.parent / f"{running.path.name}.lock").stat().st_mode) == 0o600


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
async def test_other_users_are_refused_whatever_the_mode() -> None:
    """Somebody opened the socket for all: the uid of the peer still decides, on both sides."""
    handler = Handler()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        control = ControlSocket(Path(folder) / "open.sock", handler)
        path = await control.start()
        assert path is not None
        path.chmod(0o666)
        request = "POST /stop HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n"
        code = f"import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.send(b'{request}')"
        program = ["/usr/bin/env", "python3", "-c", f"{code}; print(s.recv(99).decode())", str(path)]
        asking = await asyncio.create_subprocess_exec(*program, user=65534, cwd="/", stdout=subprocess.PIPE)
        answer, _ = await asking.communicate()
        await control.stop()
    assert b" 403 " in answer
    assert handler.stopped == []


async def test_end_leaves_no_file(running: Running) -> None:
    """Neither socket nor lock, and stopping twice does no harm."""
    assert left(running.path.parent) == [running.path.name, f"{running.path.name}.lock"]
    await running.socket.stop()
    await running.socket.stop()
    assert left(running.path.parent) == []


async def test_second_host_of_a_file_runs_without(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    """It is warned, takes nothing away from the first, and at its end removes nothing of it."""
    second = ControlSocket(running.path, Handler())
    assert await second.start() is None
    (record,) = [record for record in caplog.records if record.levelname == "WARNING"]
    assert record.message == "no control socket"
    await second.stop()
    assert (await asyncio.to_thread(ControlClient(running.path).status)).version == "1.2.3"


async def test_killed_host_is_replaced_at_once(owner: "tuple[subprocess.Popen[str], Path]") -> None:
    """Its stale socket is told from one that is in use."""
    process, path = owner
    assert await ControlSocket(path, Handler()).start() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert left(path.parent) == ["other.sock", "other.sock.lock"]
    control = ControlSocket(path, Handler())
    assert await control.start() == path
    assert await asyncio.to_thread(ControlClient(path).is_answered)
    await control.stop()


async def test_next_host_removes_what_a_killed_one_left(
    owner: "tuple[subprocess.Popen[str], Path]", running: Running, tmp_path: Path
) -> None:
    """Of any other file; what is in use stays."""
    process, path = owner
    process.kill()
    process.wait()
    control = ControlSocket(path.with_name("third.sock"), Handler())
    await control.start()
    assert left(path.parent) == sorted(
        name + end for name in (running.path.name, "third.sock") for end in ("", ".lock")
    )
    await control.stop()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("missing/a.sock", "No such file"),
        ("agenthost.yaml", "there is a file of that name"),
        ("x" * 120, "too long"),
    ],
)
async def test_host_without_a_place_for_its_socket_runs_without(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, path: str, reason: str
) -> None:
    """The warning says why; nothing is overwritten."""
    (tmp_path / "agenthost.yaml").write_text("kept")
    control = ControlSocket(tmp_path / path, Handler())
    assert await control.start() is None
    await control.stop()
    (record,) = caplog.records
    assert reason in record.__dict__["agenthost_fields"]["reason"]
    assert (tmp_path / "agenthost.yaml").read_text() == "kept"


async def test_runtime_folder_of_somebody_else_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A host does not end because of it."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "agenthost").mkdir()
    (tmp_path / "agenthost").chmod(0o777)
    assert await ControlSocket(tmp_path / "agenthost" / "a.sock", Handler()).start() is None
    assert [record.message for record in caplog.records] == ["no control socket"]


async def test_none_is_no_socket_and_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    """`control.socket: none` is a wish."""
    control = ControlSocket(None, Handler())
    assert await control.start() is None
    await control.stop()
    assert caplog.records == []


def test_nobody_is_told_from_a_host_that_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No socket, a dead one, one that accepts and says nothing."""
    monkeypatch.setattr("agenthost.control.client._QUICK_SECONDS", 0.05)
    client = ControlClient(tmp_path / "a.sock")
    with pytest.raises(NobodyListens, match="no host listens on"):
        client.status()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(client.path))
        with pytest.raises(NobodyListens):
            client.status()
        listening.listen()
        with pytest.raises(HostUnreachable, match="does not answer") as caught:
            client.status()
    assert not isinstance(caught.value, NobodyListens)


def test_host_that_ends_while_it_is_asked_is_unreachable(owner: "tuple[subprocess.Popen[str], Path]") -> None:
    """The connection is cut: one sentence, no traceback."""
    process, path = owner
    client = ControlClient(path)
    with client._connected(None) as connection:
        connection.connect()
        process.kill()
        process.wait()
        with pytest.raises(HostEnded, match="ended before it answered"), client._connected(None):
            connection.request("POST", "/reload")
            connection.getresponse()


async def test_answer_that_is_none_of_ours_is_one_sentence(running: Running) -> None:
    """A host of another version, or no host at all."""
    with pytest.raises(AgentHostError, match="the host refused /nothing"):
        await asyncio.to_thread(ControlClient(running.path)._ask, Handler, "GET", "/nothing", 1.0)
    with pytest.raises(AgentHostError, match="cannot be read"):
        await asyncio.to_thread(ControlClient(running.path)._ask, type(running.handler.planned), "GET", "/status", 1.0)
