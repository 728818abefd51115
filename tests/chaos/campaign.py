"""A campaign of faults against a real host in front of the fake server, and what must hold all the same.

One seed gives one order of faults. After it everything is left alone for a moment, and then the books are checked: they
are the host's own log, the server's notes, and the system's list of processes.
"""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from agenthost.testing.host_process import HostProcess
from agenthost.testing.livekit_server import FakeLiveKitServer
from tests.support.host import write_agent
from tests.support.polling import poll

AGENT = "chaos"
MAX_JOBS = 8
ATTEMPTS = 3
USUAL_PROCESSES = 5  # base, template, hook process, two idle processes
QUIET_SECONDS = 20.0
STOPPED_SECONDS = 1.5
MOST_DESCRIPTORS_MORE = 8
MOST_BYTES_MORE = 24 * 2**20

CODE = """
import asyncio

async def accept(request):
    await request.accept()

async def entrypoint(ctx):
    await asyncio.sleep(float(ctx.job.metadata))
"""
FILE = f"""
version: 1
agent_name: {AGENT}
entrypoint: my_agent:entrypoint
num_idle_processes: 2
load: {{ max_jobs: {MAX_JOBS} }}
limits: {{ unresponsive: 2s, init: 5s, shutdown: 1s }}
restart: {{ policy: on-failure, attempts: {ATTEMPTS}, backoff: 20ms }}
requests: {{ handler: my_agent:accept }}
drain_timeout: 5s
log_level: DEBUG
http: {{ listen: "127.0.0.1:0" }}
settings: {{ edition: {{edition}} }}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a campaign did, and what it found wrong (nothing, if all is well)."""

    seed: int
    faults: tuple[str, ...]
    jobs: int
    restarts: int
    wrong: tuple[str, ...]


class Campaign:
    """`await Campaign(server, folder, seed=1).run(seconds)`."""

    def __init__(self, server: FakeLiveKitServer, folder: Path, *, seed: int) -> None:
        self._server = server
        self._folder = folder
        self._seed = seed
        self._random = random.Random(seed)
        self._edition = 0
        self._rooms = 0
        self._faults: list[str] = []
        self._wrong: list[str] = []
        self._host: HostProcess
        self._finished_jobs = 0
        self._restarts = 0

    async def run(self, seconds: float) -> Report:
        """Start a host, do harm for so many seconds while calls come in, let it rest, check, end it."""
        self._host = await self._start_host()
        try:
            await self._rest()
            before = _size(self._host)
            calls = asyncio.create_task(self._call())
            deadline = time.monotonic() + seconds
            while time.monotonic() < deadline:
                await asyncio.sleep(self._random.uniform(0.05, 0.5))
                await self._harm()
            calls.cancel()
            await self._rest()
            await self._check_well()
            self._check_size(before)
            self._check_books(self._host, killed=False)
        finally:
            await self._host.close()  # raises if any process outlives it
        return Report(
            seed=self._seed,
            faults=tuple(self._faults),
            jobs=self._finished_jobs,
            restarts=self._restarts,
            wrong=tuple(self._wrong),
        )

    # ── what happens to it ───────────────────────────────────────────────────────────────────────────────────

    async def _harm(self) -> None:
        harms: list[Callable[[], Awaitable[str]]] = [
            self._kill_any,
            self._kill_any,
            self._stop_any,
            self._stop_host,
            self._cut,
            self._garbage,
            self._reload,
            self._reload_broken,
            self._restart_server,
            self._kill_host,
        ]
        harm = self._random.choice(harms)
        self._faults.append(await harm())

    def _victims(self) -> list[psutil.Process]:
        """Everything below the host: base, templates, hook process, jobs, idle processes."""
        try:
            return sorted(psutil.Process(self._host.pid).children(recursive=True), key=lambda child: child.pid)
        except psutil.NoSuchProcess:
            return []

    async def _kill_any(self) -> str:
        for victim in self._choose():
            victim.kill()
        return "SIGKILL of a process"

    async def _stop_any(self) -> str:
        for victim in self._choose():
            victim.suspend()
            asyncio.get_running_loop().call_later(STOPPED_SECONDS * self._random.random() * 2, _resume, victim)
        return "SIGSTOP of a process"

    def _choose(self) -> list[psutil.Process]:
        victims = self._victims()
        return [self._random.choice(victims)] if victims else []

    async def _stop_host(self) -> str:
        self._host.signal(signal.SIGSTOP)
        await asyncio.sleep(STOPPED_SECONDS * self._random.random())
        self._host.signal(signal.SIGCONT)
        return "SIGSTOP of the host"

    async def _kill_host(self) -> str:
        host = self._host
        host.signal(signal.SIGKILL)
        await host.exit_code()
        left = await host.wait_no_survivors()
        self._wrong += [f"process {process.pid} outlived its host" for process in left]
        self._check_books(host, killed=True)
        self._host = await self._start_host()
        return "SIGKILL of the host"

    async def _cut(self) -> str:
        self._server.cut()
        return "sockets cut"

    async def _garbage(self) -> str:
        await self._server.send_garbage()
        return "garbage frames"

    async def _restart_server(self) -> str:
        await self._server.restart()
        return "server restarted"

    async def _reload(self) -> str:
        self._edition += 1
        self._write(CODE + f"\n# edition {self._edition}\n")
        self._host.signal(signal.SIGHUP)
        return "reload"

    async def _reload_broken(self) -> str:
        self._write("def broken(:\n")
        self._host.signal(signal.SIGHUP)
        await asyncio.sleep(self._random.random() * 0.3)
        return await self._reload() + " of broken code, then of good"

    async def _call(self) -> None:
        """Calls, several a second, of up to two seconds each; whatever becomes of them."""
        async with asyncio.TaskGroup() as offers:
            while True:
                self._rooms += 1
                seconds = self._random.uniform(0.0, 2.0)
                offers.create_task(self._offer(f"room-{self._rooms}", seconds))
                await asyncio.sleep(self._random.uniform(0.02, 0.3))

    async def _offer(self, room: str, seconds: float) -> None:
        await self._server.offer(room, agent_name=AGENT, metadata=str(seconds))

    # ── what must hold ───────────────────────────────────────────────────────────────────────────────────────

    def _check_books(self, host: HostProcess, *, killed: bool) -> None:
        """Every accepted job ended, once, unless the host was killed; never more of them than allowed."""
        held: set[str] = set()
        ended: set[str] = set()
        for line in host.lines:
            job = str(line.fields.get("job_id"))
            match line.message:
                case "job accepted":
                    held.add(job)
                    if len(held) > MAX_JOBS:
                        self._wrong.append(f"{len(held)} jobs at once")
                case "job not assigned":
                    held.discard(job)
                case "job ended":
                    if job in ended:
                        self._wrong.append(f"{job} ended twice")
                    ended.add(job)
                    held.discard(job)
                case "dispatched again":
                    self._restarts += 1
                case "offer failed inside the host" | "job failed inside the host":
                    self._wrong.append(f"{line.message}: {dict(line.fields)}")
        if held and not killed:
            self._wrong.append(f"accepted and never ended: {sorted(held)}")
        self._finished_jobs += len(ended)
        self._check_server(ended)

    def _check_server(self, ended: set[str]) -> None:
        """The server hears of each end at most once, and of none that did not happen."""
        for job in ended:
            said = [update for update in self._server.statuses(job) if update.status.value != "running"]
            if len(said) > 1:
                self._wrong.append(f"the server was told {len(said)} ends of {job}")

    async def _check_well(self) -> None:
        """It serves the next call as if nothing had happened."""
        result = await self._server.offer("afterwards", agent_name=AGENT, metadata="0.0")
        if not result.assigned:
            self._wrong.append(f"the call after it all was not served: {result.outcome.value}")
            return
        await self._host.wait_event("job ended", job_id=result.job_id, outcome="succeeded")
        status, body = await self._host.http("/readyz")
        if status != 200:
            self._wrong.append(f"/readyz says {status} {body}")

    def _check_size(self, before: "_Size") -> None:
        """Descriptors and memory are what they were, and no zombie is left. A host that replaced it began anew."""
        after = _size(self._host)
        if after.pid == before.pid and after.descriptors > before.descriptors + MOST_DESCRIPTORS_MORE:
            self._wrong.append(f"descriptors grew from {before.descriptors} to {after.descriptors}")
        if after.pid == before.pid and after.bytes > before.bytes + MOST_BYTES_MORE:
            self._wrong.append(f"memory grew from {before.bytes >> 20} to {after.bytes >> 20} MiB")
        if after.zombies:
            self._wrong.append(f"{after.zombies} zombies")

    # ── the host ─────────────────────────────────────────────────────────────────────────────────────────────

    async def _start_host(self) -> HostProcess:
        self._write(CODE)
        host = HostProcess("start", "agenthost.yaml", cwd=self._folder, env=self._server.environment)
        await host.start()
        try:
            await host.wait_event("host started", timeout=30)
        except AssertionError:
            await host.close()
            raise
        return host

    def _write(self, code: str) -> None:
        write_agent(self._folder, code, FILE.replace("{edition}", str(self._edition)))

    async def _rest(self) -> None:
        """Until the host is registered, has its idle processes and its hook process, and runs no job."""

        def quiet() -> bool:
            return bool(self._server.workers) and not self._running_jobs()

        for victim in self._victims():
            _resume(victim)
        await poll(quiet, timeout=QUIET_SECONDS)
        await poll(lambda: len(self._victims()) == USUAL_PROCESSES, timeout=QUIET_SECONDS)

    def _running_jobs(self) -> bool:
        held: set[object] = set()
        for line in self._host.lines:
            if line.message == "job accepted":
                held.add(line.fields["job_id"])
            elif line.message in ("job ended", "job not assigned"):
                held.discard(line.fields["job_id"])
        return bool(held)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Size:
    pid: int
    descriptors: int
    bytes: int
    zombies: int


def _size(host: HostProcess) -> _Size:
    process = psutil.Process(host.pid)
    children = process.children(recursive=True)
    return _Size(
        pid=host.pid,
        descriptors=process.num_fds(),
        bytes=process.memory_info().rss,
        zombies=sum(child.status() == psutil.STATUS_ZOMBIE for child in children),
    )


def _resume(process: psutil.Process) -> None:
    try:
        process.resume()
    except psutil.NoSuchProcess:
        pass  # killed meanwhile
