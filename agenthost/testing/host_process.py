"""A real `agenthost` process under test: started by argv, watched through its log lines, ended by pid (Linux).

Every process it starts carries one environment variable of ours, so that a test can prove that nothing survived.
"""

import asyncio
import json
import os
import signal
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil

AGENTHOST = (sys.executable, "-m", "agenthost")
MARK = "AGENTHOST_TEST_RUN"
GONE_SECONDS = 5.0
# Of a close: without jobs a host ends at once, and jobs that still run would not end by themselves. Longer than a host
# takes two signals for one.
DRAIN_SECONDS = 0.7
SIGNAL_SECONDS = 3.0
LOOK_SECONDS = 0.02  # how often to look at what has no event: processes and sockets of others
# These hide the bytecode and buffering traps that users meet, and a developer's own server must not be used.
UNSET = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """One JSON line of the host's stdout; `at` is when it was read (`time.monotonic()`)."""

    message: str
    level: str
    name: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    at: float

    def matches(self, message: str, fields: Mapping[str, Any]) -> bool:
        return self.message == message and all(self.fields.get(key) == value for key, value in fields.items())


class HostProcess:
    """`agenthost start FILE` (or any other command) in a process group of its own.

    lines    every JSON log line so far
    stray    lines of stdout that are no JSON object; under `start` there should be none
    stderr   the text of stderr so far
    cwd      its working directory
    """

    def __init__(
        self, *arguments: str | Path, cwd: Path, env: Mapping[str, str], program: Sequence[str] = AGENTHOST
    ) -> None:
        self.lines: list[LogLine] = []
        self.stray: list[str] = []
        self.stderr = ""
        self.started_at = 0.0
        self.mark = uuid.uuid4().hex
        self._command = [*program, *(str(argument) for argument in arguments)]
        self.cwd = cwd
        self._env = {k: v for k, v in os.environ.items() if k not in UNSET} | dict(env) | {MARK: self.mark}
        self._process: asyncio.subprocess.Process | None = None
        self._readers: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()

    async def start(self) -> None:
        self.started_at = time.monotonic()
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            cwd=self.cwd,
            env=self._env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=2**24,
        )
        self._readers = [asyncio.create_task(self._read_stdout()), asyncio.create_task(self._read_stderr())]

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None, "the host was not started"
        return self._process

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    # ── what it says ─────────────────────────────────────────────────────────────────────────────────────────

    def events(self, message: str, **fields: Any) -> list[LogLine]:
        """Every line so far with this message and these field values."""
        return [line for line in self.lines if line.matches(message, fields)]

    async def wait_event(self, message: str, *, timeout: float = 15.0, count: int = 1, **fields: Any) -> LogLine:
        """The `count`-th line with this message and these field values; fails at once when the host has ended."""
        async with self._failing_with_output(f"event {message!r} {fields or ''}", timeout):
            while len(found := self.events(message, **fields)) < count:
                if self._ended():
                    raise AssertionError(f"the host ended without {message!r} {fields or ''}:\n{self.output()}")
                await self._changed.wait()
                self._changed.clear()
            return found[count - 1]

    async def exit_code(self, *, timeout: float = 15.0) -> int:
        """Wait for its end; every line it wrote has been read then."""
        async with self._failing_with_output("its end", timeout):
            code = await self.process.wait()
            await asyncio.gather(*self._readers)
            return code

    def output(self) -> str:
        """Everything it said so far, for the message of a failed assertion."""
        said = [f"{line.level:8} {line.message} {dict(line.fields)}" for line in self.lines[-60:]]
        return "\n".join([*said, *self.stray[-40:], self.stderr[-4000:]]) or "(it said nothing)"

    # ── what is done to it ───────────────────────────────────────────────────────────────────────────────────

    def signal(self, number: signal.Signals, *, group: bool = False) -> None:
        """Send a signal to the host alone, or to its whole process group as a terminal's Ctrl-C does."""
        if group:
            os.killpg(self.pid, number)
        else:
            self.process.send_signal(number)

    async def http(self, path: str, *, timeout: float = 5.0) -> tuple[int, str]:
        """Status and body of a GET on the host's own HTTP port, wherever it listens."""
        address = f"http://127.0.0.1:{await self.http_port(timeout=timeout)}{path}"
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=timeout)) as session,
            session.get(address) as response,
        ):
            return response.status, await response.text()

    async def http_port(self, *, timeout: float = 5.0) -> int:
        """The TCP port on which the host serves HTTP, as it said last."""
        async with self._failing_with_output("port for HTTP", timeout):
            while not (said := self.events("http listening")):
                if self._ended():
                    raise AssertionError(f"the host ended without a port for HTTP:\n{self.output()}")
                await self._changed.wait()
                self._changed.clear()
        return int(str(said[-1].fields["address"]).rpartition(":")[2])

    # ── its end ──────────────────────────────────────────────────────────────────────────────────────────────

    def survivors(self) -> list[psutil.Process]:
        """The processes alive now that descend from this host (or are it)."""
        found = {process.pid: process for process in processes_with(MARK, self.mark)}
        if self.running and self.pid not in found and psutil.pid_exists(self.pid):
            found[self.pid] = psutil.Process(self.pid)  # a host shows its environment to root only
        return list(found.values())

    async def wait_no_survivors(self, *, timeout: float = GONE_SECONDS) -> list[psutil.Process]:
        """Wait until none of its processes lives; those that still do at the deadline."""
        await _look(lambda: not self.survivors(), timeout)
        return self.survivors()

    async def close(self) -> None:
        """End it by three signals if it still runs; afterwards no process of it may live."""
        for seconds in (DRAIN_SECONDS, SIGNAL_SECONDS, SIGNAL_SECONDS):
            if not self.running:
                break
            self.signal(signal.SIGTERM)
            try:
                await asyncio.wait_for(self.process.wait(), seconds)
            except TimeoutError:
                continue  # the next signal is the stronger one
        ignored_signals = self.running
        if ignored_signals:
            self.process.kill()
        left = await self.wait_no_survivors()
        names = [f"{process.pid} {' '.join(_command(process))}" for process in left]
        kill_all(left)
        if self._process is not None:
            await self.process.wait()
            await asyncio.gather(*self._readers)
        if ignored_signals:
            raise AssertionError(f"the host did not end after three signals:\n{self.output()}")
        if names:
            raise AssertionError(f"processes survived the host: {names}\n{self.output()}")

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────

    def _ended(self) -> bool:
        return all(reader.done() for reader in self._readers)

    async def _read_stdout(self) -> None:
        assert self.process.stdout is not None
        async for raw in self.process.stdout:
            self._take(raw.decode(errors="replace").rstrip("\n"))
            self._changed.set()
        self._changed.set()

    def _take(self, text: str) -> None:
        try:
            data = json.loads(text)
        except ValueError:
            data = None
        if not isinstance(data, dict):
            self.stray.append(text)
            return
        level, name, message = (str(data.pop(key, "")) for key in ("level", "name", "message"))
        self.lines.append(LogLine(message=message, level=level, name=name, fields=data, at=time.monotonic()))

    async def _read_stderr(self) -> None:
        assert self.process.stderr is not None
        async for raw in self.process.stderr:
            self.stderr += raw.decode(errors="replace")
        self._changed.set()

    def _failing_with_output(self, what: str, timeout: float) -> "_Deadline":
        return _Deadline(self, what, timeout)


class _Deadline:
    """asyncio.timeout whose error shows what the host said."""

    def __init__(self, host: HostProcess, what: str, timeout: float) -> None:
        self._host, self._what, self._timeout = host, what, asyncio.timeout(timeout)
        self._seconds = timeout

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, *error: Any) -> None:
        try:
            await self._timeout.__aexit__(*error)
        except TimeoutError:
            raise AssertionError(f"no {self._what} in {self._seconds:g} s:\n{self._host.output()}") from None


def processes_with(variable: str, value: str) -> list[psutil.Process]:
    """The living processes that were started with this in their environment; what they forked counts too."""
    return [process for process in psutil.process_iter() if _has(process, f"{variable}={value}".encode())]


def kill_all(processes: Iterable[psutil.Process]) -> None:
    """SIGKILL; whoever has ended meanwhile is fine too."""
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            pass


def _has(process: psutil.Process, entry: bytes) -> bool:
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return entry in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0")
    except (psutil.Error, OSError):
        return False


async def _look(condition: Callable[[], object], timeout: float) -> bool:
    """Whether `condition` comes true within `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(LOOK_SECONDS)
    return True


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return ["(gone)"]
