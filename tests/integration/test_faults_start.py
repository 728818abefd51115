"""What keeps `agenthost start` and `dev` from starting: each ends at once, with one message and the right exit code."""

import signal
import socket
from pathlib import Path

import pytest

from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.support.host import HostProcess, write_agent
from tests.support.polling import poll
from tests.support.protocols import RunHost

GOOD = """
async def entrypoint(ctx):
    await ctx.connect()
"""

YAML = """
version: 1
agent_name: beginner
entrypoint: my_agent:entrypoint
num_idle_processes: 1
http: { listen: none }
"""


async def refused(host: HostProcess, code: int) -> str:
    """The host must end by itself with this exit code, in one message without a traceback of ours; what it said."""
    assert await host.exit_code(timeout=20) == code, host.output()
    said = " ".join(host.output().split())  # findings are wrapped
    assert "agenthost/" not in said.replace(str(host.cwd), ""), "a traceback of ours"
    return said


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "agenthost.yaml"),
        ("", "agenthost.yaml"),
        ("entrypoint: [", "agenthost.yaml:1"),
        ("- a\n- list\n", "agenthost.yaml:1"),
        (YAML.replace("entrypoint:", "entrypont:"), "did you mean `entrypoint`"),
        (YAML.replace("num_idle_processes: 1", "num_idle_processes: many"), "agenthost.yaml:5:21"),
        (YAML + "env: { TOKEN: '${NO_SUCH_VARIABLE}' }\n", "NO_SUCH_VARIABLE"),
        (YAML.replace("my_agent:entrypoint", "no_such_module:entrypoint"), "no_such_module"),
        (YAML.replace("my_agent:entrypoint", "my_agent:no_such_function"), "no_such_function"),
    ],
    ids=["missing", "empty", "no yaml", "a list", "unknown key", "wrong type", "unset variable", "module", "attribute"],
)
async def test_bad_file_is_refused_with_its_place(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost, text: str | None, told: str
) -> None:
    """Exit 78 before anything is registered; the message says where and what."""
    file = write_agent(tmp_path, GOOD, text or "")
    if text is None:
        file.unlink()
    host = await run_host(file, server=fake_server)
    assert told in await refused(host, 78)
    assert (fake_server.connections, fake_server.refusals) == (0, 0)


async def test_start_without_a_server_to_go_to_is_refused(tmp_path: Path, run_host: RunHost) -> None:
    """`start` needs LIVEKIT_URL; it never starts a server of its own."""
    host = await run_host(write_agent(tmp_path, GOOD, YAML))
    assert "LIVEKIT_URL" in await refused(host, 78)


# ── the user's code ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("import no_such_dependency\n\nasync def entrypoint(ctx): ...\n", ["no_such_dependency", "my_agent.py"]),
        ("def broken(:\n    pass\n", ["not valid Python", "my_agent.py:1"]),
        ("raise RuntimeError('no key given')\n\nasync def entrypoint(ctx): ...\n", ["RuntimeError", "no key given"]),
        ("entrypoint = 7\n", ["entrypoint", "int"]),
        ("import os; os._exit(4)\n\nasync def entrypoint(ctx): ...\n", ["ended before it was ready", "exit code 4"]),
        (
            "import os; os.abort()\n\nasync def entrypoint(ctx): ...\n",
            ["ended before it was ready", "killed by signal SIGABRT"],
        ),
    ],
    ids=["import error", "syntax error", "raises", "wrong kind", "exits", "crashes"],
)
async def test_module_that_cannot_be_used_is_refused_with_its_own_error(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_any_host: RunHost, code: str, told: list[str]
) -> None:
    """Exit 78; the user's own exception and file are shown, nothing of ours hides them, and nothing registers."""
    host = await run_any_host(write_agent(tmp_path, code, YAML), server=fake_server)
    said = await refused(host, 78)
    assert [part for part in told if part not in said] == []
    assert fake_server.connections == 0


async def test_traceback_of_the_users_module_is_shown(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> None:
    """File, line and source of the failing import."""
    host = await run_host(write_agent(tmp_path, GOOD + "\n\nvalue = {}['missing']\n", YAML), server=fake_server)
    assert await host.exit_code(timeout=20) == 78
    said = host.output()
    assert "value = {}['missing']" in said
    assert "KeyError" in said


# ── the machine ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_taken_port_is_refused_with_its_number(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> None:
    """Exit 1, naming the port and what to set."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        yaml = YAML.replace("listen: none", f'listen: "127.0.0.1:{port}"')
        host = await run_host(write_agent(tmp_path, GOOD, yaml), server=fake_server)
        said = await refused(host, 1)
    assert str(port) in said
    assert "http.listen" in said


async def test_two_hosts_of_one_machine_each_have_a_port_of_their_own(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost
) -> None:
    """Scenario 36: port 0 is any free one, and each says which it is."""
    ports = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        file = write_agent(tmp_path / name, GOOD, YAML.replace("listen: none", 'listen: "127.0.0.1:0"'))
        host = await run_host(file, server=fake_server, cwd=tmp_path / name)
        started = await host.wait_event("host started", timeout=30)
        listening = await host.wait_event("http listening")
        assert listening.fields["address"] == started.fields["http"]
        assert (await host.http("/healthz"))[0] == 200
        ports.add(listening.fields["address"])
    assert len(ports) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_before_the_first_registration_ends_it_well(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_host: RunHost, number: signal.Signals
) -> None:
    """A host that waits for its server has no jobs: one signal to the group ends it with exit 0."""
    await fake_server.stop()
    host = await run_host(write_agent(tmp_path, GOOD, YAML), server=fake_server)
    await host.wait_event("registration failed")
    host.signal(number, group=True)
    assert await host.exit_code() == 0
    assert "Traceback" not in host.output()


async def test_signal_during_a_slow_import_ends_it_well(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_any_host: RunHost
) -> None:
    """Nobody waits for a module that takes a minute."""
    code = "import pathlib, time\npathlib.Path('importing').touch()\ntime.sleep(60)\n" + GOOD
    host = await run_any_host(write_agent(tmp_path, code, YAML), server=fake_server)
    await poll((tmp_path / "importing").exists, timeout=15, what="the module was never imported")
    host.signal(signal.SIGTERM)
    assert await host.exit_code(timeout=8) == 0
    assert "Traceback" not in host.output()


async def test_killed_host_leaves_no_process(
    tmp_path: Path, fake_server: FakeLiveKitServer, run_any_host: RunHost
) -> None:
    """SIGKILL of the host: base, templates, idle processes and jobs go with it."""
    code = "import asyncio\n\nasync def entrypoint(ctx):\n    await asyncio.sleep(3600)\n"
    host = await run_any_host(write_agent(tmp_path, code, YAML), server=fake_server)
    await host.wait_event("registered")
    job_id = (await fake_server.offer("room", agent_name="beginner")).job_id
    await host.wait_event("job started", job_id=job_id)
    assert len(host.survivors()) >= 3
    host.signal(signal.SIGKILL)
    await host.exit_code()
    assert await host.wait_no_survivors() == []
