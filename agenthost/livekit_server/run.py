"""A LiveKit server of our own on loopback, for as long as a `with` block; runs beside the host, on its loop.

Guarantees: it listens on 127.0.0.1 only, on ports that were free; its keys are random, and stand in a file of mode
0600 and nowhere else; it is gone when the block ends, and when this process ends in whatever way.
"""

import asyncio
import json
import os
import signal
import socket
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from secrets import token_hex
from typing import Self

from agenthost.errors import LocalServerError
from agenthost.livekit_server.connection import Connection, new_key_pair
from agenthost.livekit_server.guard import guarded
from agenthost.runtime_folder import HeldFile, remove_abandoned, runtime_folder

START_SECONDS = 15.0  # it takes 0.1 s; more on a machine that is busy building something
LEAVE_SECONDS = 1.0  # asked to end, the server first waits for its participants to leave
FORCE_SECONDS = 3.0  # asked again, it closes their connections
_ATTEMPTS = 3  # a free port may be taken before the server binds it
_LONGEST_LINE = 64 * 1024
# LIVEKIT_*, NODE_IP, UDP_PORT ... would change its settings; the guard needs PYTHONPATH where agenthost is found by it
_ENVIRONMENT = ("PATH", "HOME", "TMPDIR", "LANG", "TZ", "PYTHONPATH")


class LocalServer:
    """An async context manager around one server process.

    `log` gets each line of the server's output, without secrets; `log_level` says how much that is, in the server's
    words (debug, info, warn, error). `port` None: any free one; a given port is not swapped for another.
    Raises LocalServerError when the server does not answer within 15 s.
    """

    def __init__(
        self,
        binary: Path,
        *,
        log: Callable[[str], None],
        port: int | None = None,
        log_level: str = "warn",
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self._binary = binary
        self._log = log
        self._port = port
        self._log_level = log_level
        self._environ = environ
        self._last_lines: deque[str] = deque(maxlen=10)
        self._connection: Connection | None = None
        self._keys: HeldFile | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._output: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                await self._start()
                return self
            except BaseException as error:
                await self._stop()
                retry = isinstance(error, _PortTaken) and self._port is None and attempt < _ATTEMPTS
                if not retry:
                    raise
        raise AssertionError("unreachable")

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stop()

    @property
    def connection(self) -> Connection:
        """Where the server is and its keys; valid inside the block."""
        if self._connection is None:
            raise RuntimeError("the local LiveKit server is not running")
        return self._connection

    @property
    def url(self) -> str:
        return self.connection.url

    @property
    def api_key(self) -> str:
        return self.connection.api_key

    @property
    def api_secret(self) -> str:
        return self.connection.api_secret

    @property
    def pid(self) -> int:
        """The server's process, which leads a process group of its own."""
        return self._running.pid

    async def wait_exited(self) -> int:
        """Wait until the server ends by itself; returns its exit code (negative: a signal's number)."""
        return await self._running.wait()

    @property
    def _running(self) -> asyncio.subprocess.Process:
        if self._process is None:
            raise RuntimeError("the local LiveKit server is not running")
        return self._process

    async def _start(self) -> None:
        self._last_lines.clear()
        port = self._port or _free_port(socket.SOCK_STREAM)
        api_key, api_secret = new_key_pair()
        self._connection = Connection(url=f"ws://127.0.0.1:{port}", api_key=api_key, api_secret=api_secret)
        folder = runtime_folder(self._environ)
        remove_abandoned(folder, "livekit-*.yaml")
        settings = _settings(self._connection, port=port, udp_port=_free_port(socket.SOCK_DGRAM), level=self._log_level)
        self._keys = HeldFile.create(folder / f"livekit-{token_hex(8)}.yaml", settings)
        self._process = await asyncio.create_subprocess_exec(
            *guarded([self._binary, "--config", self._keys.path]),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={name: self._environ[name] for name in _ENVIRONMENT if name in self._environ},
            start_new_session=True,  # Ctrl-C in the terminal is for agenthost, which ends the server last
        )
        self._output = asyncio.create_task(self._relay_output())
        await self._wait_answering(port)

    async def _wait_answering(self, port: int) -> None:
        exited = asyncio.create_task(self._running.wait())
        answering = asyncio.create_task(_wait_http_ok(port))
        try:
            await asyncio.wait({exited, answering}, timeout=START_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if exited.done():
                await self._explain_exit(exited.result(), port)
            if not answering.done():
                raise LocalServerError(self._message(f"did not answer on port {port} within {START_SECONDS:.0f} s"))
        finally:
            exited.cancel()
            answering.cancel()

    async def _explain_exit(self, code: int, port: int) -> None:
        if self._output is not None:
            await self._output
        if any("address already in use" in line for line in self._last_lines):
            raise _PortTaken(self._message(f"cannot listen: a port is taken (HTTP port {port}); choose another"))
        raise LocalServerError(self._message(f"ended at once, exit code {code}"))

    def _message(self, what: str) -> str:
        lines = "".join(f"\n    {line}" for line in self._last_lines)
        return f"the local LiveKit server ({self._binary}) {what}{lines and '; its last words:' + lines}"

    async def _relay_output(self) -> None:
        stream = self._running.stdout
        assert stream is not None  # a pipe was asked for
        rest = b""
        while chunk := await stream.read(_LONGEST_LINE):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > _LONGEST_LINE:
                lines, rest = [*lines, rest], b""
            for line in lines:
                self._relay_line(line)
        if rest:
            self._relay_line(rest)

    def _relay_line(self, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip().replace("\t", " ")
        text = text.replace(self.api_secret, "***")
        self._last_lines.append(text)
        self._log(text)

    async def _stop(self) -> None:
        try:
            if self._process is not None:
                await _end_group(self._process)
            if self._output is not None:
                await self._output
        finally:
            if self._keys is not None:
                self._keys.remove()
            self._process = self._output = self._keys = None


class _PortTaken(LocalServerError):
    """Between looking for a free port and the server's bind somebody else took it."""


def _settings(connection: Connection, *, port: int, udp_port: int, level: str) -> str:
    """The server's config file. JSON is YAML, and quotes everything right."""
    return json.dumps(
        {
            "port": port,
            "bind_addresses": ["127.0.0.1"],
            "rtc": {
                "tcp_port": 0,
                "udp_port": udp_port,
                "node_ip": "127.0.0.1",
                "interfaces": {"includes": ["lo", "lo0"]},
                "enable_loopback_candidate": True,
            },
            "keys": {connection.api_key: connection.api_secret},
            "logging": {
                "level": level,
                # three warnings for each participant that leaves: its data channels close, as they should
                "component_levels": {} if level == "debug" else {"transport": "error"},
            },
        }
    )


def _free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def _wait_http_ok(port: int) -> None:
    while not await _answers_ok(port):  # noqa: ASYNC110 - another process's readiness has no event
        await asyncio.sleep(0.02)


async def _answers_ok(port: int) -> bool:
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writer.write(b"GET / HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        status_line = await reader.readline()
        return status_line.split()[1:2] == [b"200"]
    except OSError:
        return False
    finally:
        writer.close()


async def _end_group(process: asyncio.subprocess.Process) -> None:
    """Ask, ask again, kill; each bounded. Also when this task is cancelled meanwhile, nothing is left running."""
    try:
        for patience in (LEAVE_SECONDS, FORCE_SECONDS):
            _signal_group(process, signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), patience)
                return
            except TimeoutError:
                continue
    finally:
        _signal_group(process, signal.SIGKILL)
        await process.wait()


def _signal_group(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    if process.returncode is None:
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            pass  # it ended just now; wait() will say so
