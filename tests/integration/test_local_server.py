"""One local server's life, with small programs in the server's place; the real one has its turn in tests/e2e."""

import asyncio
import os
import stat
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from agenthost.errors import LocalServerError
from agenthost.livekit_server import run as run_module
from agenthost.livekit_server.run import LocalServer
from agenthost.runtime_folder import held_files, runtime_folder
from tests.support.polling import poll

MakeServer = Callable[[str], Path]

ANSWERING = """
import http.server, json, signal, sys
settings = json.load(open(sys.argv[2]))
print("keys", *settings["keys"].values(), flush=True)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def log_message(self, *args): pass
http.server.HTTPServer(("127.0.0.1", settings["port"]), Handler).serve_forever()
"""


SILENT = """
import os, pathlib, time
pathlib.Path("{pid_file}").write_text(str(os.getpid()))
time.sleep(60)
"""


@pytest.fixture
def make_server(tmp_path: Path) -> MakeServer:
    """Write a program that stands in for the server."""

    def make(code: str) -> Path:
        program = tmp_path / "livekit-server"
        program.write_text(f"#!{sys.executable}\n{textwrap.dedent(code)}")
        program.chmod(0o755)
        return program

    return make


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "run").mkdir(mode=0o700)
    return {"XDG_RUNTIME_DIR": str(tmp_path / "run"), "PATH": os.environ["PATH"], "LIVEKIT_KEYS": "other: keys"}


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


async def test_server_runs_inside_the_block_and_is_gone_after_it(
    make_server: MakeServer, environ: dict[str, str]
) -> None:
    """Answering when the block begins; no process and no file when it has ended."""
    async with LocalServer(make_server(ANSWERING), log=lambda line: None, environ=environ) as server:
        assert server.url.startswith("ws://127.0.0.1:")
        pid = server.pid
        assert not _gone(pid)
    assert _gone(pid)
    assert list(runtime_folder(environ).iterdir()) == []


async def test_keys_stand_in_a_private_file_and_not_on_the_command_line(
    make_server: MakeServer, environ: dict[str, str]
) -> None:
    """Everybody on a machine can read command lines and environments of their own processes' kin."""
    async with LocalServer(make_server(ANSWERING), log=lambda line: None, environ=environ) as server:
        (keys,) = held_files(runtime_folder(environ), "livekit-*.yaml")
        assert stat.S_IMODE(keys.stat().st_mode) == 0o600
        assert server.api_secret in keys.read_text()
        for source in ("cmdline", "environ"):
            assert server.api_secret.encode() not in Path(f"/proc/{server.pid}/{source}").read_bytes()


async def test_variables_that_would_change_the_servers_settings_do_not_reach_it(
    make_server: MakeServer, environ: dict[str, str]
) -> None:
    """LIVEKIT_KEYS in the user's shell is for other things."""
    async with LocalServer(make_server(ANSWERING), log=lambda line: None, environ=environ) as server:
        assert b"LIVEKIT_KEYS" not in Path(f"/proc/{server.pid}/environ").read_bytes()


async def test_secret_in_the_servers_output_is_masked(make_server: MakeServer, environ: dict[str, str]) -> None:
    """The output goes to a log, and no log holds a secret."""
    lines: list[str] = []
    async with LocalServer(make_server(ANSWERING), log=lines.append, environ=environ) as server:
        await poll(lambda: lines, timeout=5, what="the server said nothing")
        assert lines == ["keys ***"]
        assert server.api_secret not in repr(server.connection)


async def test_each_run_has_keys_of_its_own(make_server: MakeServer, environ: dict[str, str]) -> None:
    """A token of yesterday's run opens nothing today."""
    secrets = set()
    for _ in range(2):
        async with LocalServer(make_server(ANSWERING), log=lambda line: None, environ=environ) as server:
            secrets.add(server.api_secret)
            assert len(server.api_secret) >= 32
    assert len(secrets) == 2


async def test_server_that_ends_at_once_is_explained_by_its_last_words(
    make_server: MakeServer, environ: dict[str, str]
) -> None:
    """The reason is in the server's own output, so the error shows it."""
    program = make_server("print('flag provided but not defined'); raise SystemExit(3)")
    with pytest.raises(LocalServerError, match=r"exit code 3(.|\n)*flag provided but not defined"):
        async with LocalServer(program, log=lambda line: None, environ=environ):
            pass
    assert list(runtime_folder(environ).iterdir()) == []


async def test_binary_that_cannot_be_run_is_explained(environ: dict[str, str], tmp_path: Path) -> None:
    """It was there when it was looked for, and is broken or gone now."""
    with pytest.raises(LocalServerError, match=r"exit code 127(.|\n)*No such file"):
        async with LocalServer(tmp_path / "gone", log=lambda line: None, environ=environ):
            pass


async def test_server_that_never_answers_is_given_up(
    make_server: MakeServer, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait is bounded, and the silent process does not stay."""
    monkeypatch.setattr(run_module, "START_SECONDS", 0.3)
    pid_file = Path(environ["XDG_RUNTIME_DIR"], "pid")
    program = make_server(SILENT.format(pid_file=pid_file))
    with pytest.raises(LocalServerError, match="did not answer"):
        async with LocalServer(program, log=lambda line: None, environ=environ):
            pass
    assert _gone(int(pid_file.read_text()))


async def test_taken_port_is_tried_again_with_another(make_server: MakeServer, environ: dict[str, str]) -> None:
    """Somebody may take the free port before the server binds it."""
    once = Path(environ["XDG_RUNTIME_DIR"], "tried")
    program = make_server(
        f"import pathlib; tried = pathlib.Path({str(once)!r})\n"
        "if not tried.exists():\n"
        "    tried.touch(); print('bind: address already in use'); raise SystemExit(1)\n" + ANSWERING
    )
    async with LocalServer(program, log=lambda line: None, environ=environ) as server:
        assert once.exists()
        assert not _gone(server.pid)


async def test_given_port_that_is_taken_is_an_error(make_server: MakeServer, environ: dict[str, str]) -> None:
    """Who names a port means that one."""
    tries = Path(environ["XDG_RUNTIME_DIR"], "tries")
    program = make_server(
        f"open({str(tries)!r}, 'a').write('x')\nprint('bind: address already in use')\nraise SystemExit(1)"
    )
    with pytest.raises(LocalServerError, match="HTTP port 7"):
        async with LocalServer(program, log=lambda line: None, environ=environ, port=7):
            pass
    assert tries.read_text() == "x"


async def test_server_that_ignores_sigterm_is_killed(
    make_server: MakeServer, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Participants that stay keep a real server from ending; the end is bounded all the same."""
    monkeypatch.setattr(run_module, "LEAVE_SECONDS", 0.05)
    monkeypatch.setattr(run_module, "FORCE_SECONDS", 0.05)
    program = make_server("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + ANSWERING)
    async with LocalServer(program, log=lambda line: None, environ=environ) as server:
        pid = server.pid
    assert _gone(pid)


async def test_cancelled_start_leaves_nothing(make_server: MakeServer, environ: dict[str, str]) -> None:
    """Ctrl-C while the server starts."""
    pid_file = Path(environ["XDG_RUNTIME_DIR"], "pid")
    program = make_server(SILENT.format(pid_file=pid_file))

    async def start() -> None:
        async with LocalServer(program, log=lambda line: None, environ=environ):
            pass

    starting = asyncio.create_task(start())
    pid = int(await poll(lambda: pid_file.exists() and pid_file.read_text(), timeout=5, what="it did not start"))
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert _gone(pid)
    assert list(runtime_folder(environ).iterdir()) == []


async def test_end_of_the_server_by_itself_is_noticed(make_server: MakeServer, environ: dict[str, str]) -> None:
    """Whoever runs it can tell people that it crashed."""
    async with LocalServer(make_server(ANSWERING), log=lambda line: None, environ=environ) as server:
        os.kill(server.pid, 9)
        assert await asyncio.wait_for(server.wait_exited(), 5) == -9


async def test_keys_of_a_killed_run_are_removed_by_the_next(make_server: MakeServer, environ: dict[str, str]) -> None:
    """SIGKILL leaves a key file behind; the next start takes it away."""
    abandoned = runtime_folder(environ) / "livekit-0123.yaml"
    abandoned.write_text("keys")
    async with LocalServer(make_server(ANSWERING), log=lambda line: None, environ=environ):
        assert not abandoned.exists()


async def test_overlong_line_of_output_is_cut(make_server: MakeServer, environ: dict[str, str]) -> None:
    """A server that writes without ever ending a line takes no unbounded memory."""
    lines: list[str] = []
    program = make_server("import sys; sys.stdout.write('x' * 300_000); sys.stdout.flush()\n" + ANSWERING)
    async with LocalServer(program, log=lines.append, environ=environ):
        await poll(lambda: any("keys" in line for line in lines), timeout=5, what="the end did not come")
    assert sum(line.count("x") for line in lines) == 300_000
    assert max(map(len, lines)) <= 3 * 64 * 1024


STARTS_AND_WAITS = """
import asyncio, pathlib, sys
from agenthost.livekit_server.run import LocalServer

async def main():
    async with LocalServer(pathlib.Path(sys.argv[1]), log=lambda line: None) as server:
        print(server.pid, flush=True)
        await server.wait_exited()

asyncio.run(main())
"""


async def test_server_does_not_survive_a_killed_owner(make_server: MakeServer, environ: dict[str, str]) -> None:
    """SIGKILL runs no clean-up of ours; the kernel ends the server."""
    owner = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STARTS_AND_WAITS, str(make_server(ANSWERING))),
        env=environ,
        stdout=asyncio.subprocess.PIPE,
    )
    assert owner.stdout is not None
    pid = int(await asyncio.wait_for(owner.stdout.readline(), 10))
    owner.kill()
    await owner.communicate()
    assert await poll(lambda: _gone(pid), timeout=5), "the server outlived its owner"


async def test_guard_of_a_system_without_such_a_kernel_watches_its_parent(make_server: MakeServer) -> None:
    """macOS: the guard stays, and ends the server when its parent is gone or the server when it ends."""
    watch = "import sys; from agenthost.livekit_server.guard import watch_over; sys.exit(watch_over(0, sys.argv[1:]))"
    program = make_server("import time; time.sleep(60)")
    guard = await asyncio.create_subprocess_exec(sys.executable, "-c", watch, str(program))
    assert await asyncio.wait_for(guard.wait(), 10) == 256 - 9
    ends = "import os, sys; from agenthost.livekit_server.guard import watch_over; "
    ends += "sys.exit(watch_over(os.getppid(), sys.argv[1:]))"
    guard = await asyncio.create_subprocess_exec(sys.executable, "-c", ends, str(make_server("raise SystemExit(5)")))
    assert await asyncio.wait_for(guard.wait(), 10) == 5
