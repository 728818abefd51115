"""A campaign of faults against a real host, and what must hold all the same, looked at all the time.

One seed gives one order of faults. Every fault is over before the next begins. At the end everything is left alone for
a moment, and then the books must balance: they are the host's own log, the server's notes, and the system's list of
processes.
"""

import asyncio
import contextlib
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import psutil

from agenthost.testing.host_process import AGENTHOST
from tests.chaos.books import Books
from tests.chaos.harms import Harm, Harms
from tests.chaos.stages import AGENT, Stage
from tests.support.fork_refusal import ForkRefusal
from tests.support.host import HostProcess, write_agent
from tests.support.log_tap import LogTap
from tests.support.polling import poll
from tests.support.process_states import zombies
from tests.support.shifted_clock import ShiftedClock

MAX_JOBS = 8
ATTEMPTS = 3
USUAL_PROCESSES = 4  # template, hook process, two idle processes; the base rests
QUIET_SECONDS = 60.0
LOOK_SECONDS = 0.1
MOST_DESCRIPTORS_MORE = 8
MOST_BYTES_MORE = 24 * 2**20

CODE = """
import asyncio

async def accept(request):
    await request.accept()

async def entrypoint(ctx):
    seconds, how = ctx.job.metadata.split()
    if how == "join":
        await ctx.connect()
    await asyncio.sleep(float(seconds))
    ctx.shutdown("done")
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
    """What a campaign did, and what it found wrong (nothing, if all is well).

    `injected` counts faults, `blamed` those after which something was found wrong.
    """

    seed: int
    injected: Counter[str]
    blamed: Counter[str]
    accepted: int
    failed: int
    restarts: int
    wrong: tuple[str, ...]


class Campaign:
    """`await Campaign(stage, folder, seed=1).run(seconds)`; `host` is the one that runs now."""

    host: HostProcess

    def __init__(self, stage: Stage, folder: Path, *, seed: int) -> None:
        self._stage = stage
        self._folder = folder
        self._seed = seed
        self._random = random.Random(seed)
        self._edition = 0
        self._calls = 0
        self._injected: Counter[str] = Counter()
        self._blamed: Counter[str] = Counter()
        self._wrong: list[str] = []
        self._books: list[Books] = []
        self._tap = LogTap(folder / "log")
        self._clock = ShiftedClock(folder)

    async def run(self, seconds: float, *, at_least: int = 0) -> Report:
        """Start a host, do harm for so many seconds while calls come in, let it rest, check, end it.

        It goes on for longer until `at_least` so many faults were injected, of which a slow machine takes few a second.
        """
        with ForkRefusal(self._folder / "forks") as self._refusal:
            self._harms = Harms(
                self,
                self._stage.link,
                tap=self._tap,
                refusal=self._refusal,
                clock=self._clock,
                chance=self._random,
            )
            await self._start_host()
            try:
                await self._run(seconds, at_least)
            finally:
                await self.host.close()  # raises if any process outlives it
        return Report(
            seed=self._seed,
            injected=self._injected,
            blamed=self._blamed,
            accepted=sum(books.accepted for books in self._books),
            failed=sum(books.failed for books in self._books),
            restarts=sum(books.restarts for books in self._books),
            wrong=tuple(self._wrong),
        )

    async def _run(self, seconds: float, at_least: int) -> None:
        await self._rest()
        before = _size(self.host)
        calls = asyncio.create_task(self._call())
        looks = asyncio.create_task(self._look())
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline or self._injected.total() < at_least:
            await asyncio.sleep(self._random.uniform(0.05, 0.5))
            await self._harm()
        calls.cancel()
        await self._rest()
        looks.cancel()
        await self._check_well()
        self._check_size(before)
        self._close_books(killed=False)

    # ── what happens to it ───────────────────────────────────────────────────────────────────────────────────

    async def _harm(self) -> None:
        own: dict[str, Harm] = {
            "SIGKILL of the host": self._kill_host,
            "server restarted": self._stage.restart,
            "reload": self._reload,
            "reload of broken code, then of good": self._reload_broken,
        }
        harms = {**self._harms.all(), **own}
        name = self._random.choice(list(harms))
        before = len(self._wrong)
        await harms[name]()
        self._injected[name] += 1
        self._books[-1].look()
        self._collect()
        self._blamed[name] += len(self._wrong) > before

    async def _kill_host(self) -> None:
        self.host.signal(signal.SIGKILL)
        await self.host.exit_code()
        left = await self.host.wait_no_survivors()
        self._wrong += [f"process {process.pid} outlived its host" for process in left]
        self._close_books(killed=True)
        await self._start_host()

    async def _reload(self) -> None:
        self._edition += 1
        self._write(CODE + f"\n# edition {self._edition}\n")
        self.host.signal(signal.SIGHUP)

    async def _reload_broken(self) -> None:
        self._write("def broken(:\n")
        self.host.signal(signal.SIGHUP)
        await asyncio.sleep(self._random.random() * 0.3)
        await self._reload()

    async def _call(self) -> None:
        """Calls, several a second, of up to two seconds each; whatever becomes of them."""
        async with asyncio.TaskGroup() as offers:
            while True:
                self._calls += 1
                seconds = round(self._random.uniform(0.0, 2.0), 2)
                offers.create_task(self._stage.call(f"room-{self._seed}-{self._calls}", seconds))
                await asyncio.sleep(self._random.uniform(0.02, 0.3))

    # ── what must hold ───────────────────────────────────────────────────────────────────────────────────────

    async def _look(self) -> None:
        """All the time: the books, and that nothing is dead and unburied for long."""
        while True:
            self._books[-1].look()
            await asyncio.sleep(LOOK_SECONDS)

    def _collect(self) -> None:
        found = self._books[-1].wrong
        self._wrong += found
        found.clear()

    def _close_books(self, *, killed: bool) -> None:
        """Every accepted job ended, once, unless the host was killed; and the server heard of each end once at most."""
        books = self._books[-1]
        books.close(killed=killed)
        self._collect()
        for job in books.ended:
            if (told := self._stage.ends_told(job)) > 1:
                self._wrong.append(f"the server was told {told} ends of {job}")

    async def _check_well(self) -> None:
        """It serves the next call as if nothing had happened."""
        room = f"afterwards-{self._seed}"
        await self._stage.call(room, 0.0)
        await self.host.wait_event("job ended", room=room, outcome="succeeded", timeout=QUIET_SECONDS)

    def _check_size(self, before: "_Size") -> None:
        """Descriptors and memory are what they were, and no zombie is left. A host that replaced it began anew."""
        after = _size(self.host)
        if after.pid == before.pid and after.descriptors > before.descriptors + MOST_DESCRIPTORS_MORE:
            self._wrong.append(f"descriptors grew from {before.descriptors} to {after.descriptors}")
        if after.pid == before.pid and after.bytes > before.bytes + MOST_BYTES_MORE:
            self._wrong.append(f"memory grew from {before.bytes >> 20} to {after.bytes >> 20} MiB")
        if after.zombies:
            self._wrong.append(f"{after.zombies} zombies")

    # ── the host ─────────────────────────────────────────────────────────────────────────────────────────────

    async def _start_host(self) -> None:
        self._write(CODE)
        program = self._refusal.program(*self._tap.program(*AGENTHOST))
        environment = {**self._stage.environment, **self._clock.environment}
        self.host = HostProcess("start", "agenthost.yaml", cwd=self._folder, env=environment, program=program)
        self._books.append(Books(self.host, most_jobs=MAX_JOBS))
        await self.host.start()
        try:
            await self.host.wait_event("host started", timeout=QUIET_SECONDS)
        except AssertionError:
            await self.host.close()
            raise

    def _write(self, code: str) -> None:
        write_agent(self._folder, code, FILE.replace("{edition}", str(self._edition)))

    async def _rest(self) -> None:
        """Until the host is registered, has its idle processes and its hook process, and runs no job."""
        self._harms.resume_all()
        books = self._books[-1]

        def quiet() -> bool:
            books.look()
            return not books.held and len(self._harms.below()) == USUAL_PROCESSES

        async with asyncio.timeout(QUIET_SECONDS):
            while True:
                if await self._ready():
                    break
                await asyncio.sleep(LOOK_SECONDS)
        if not await poll(quiet, timeout=QUIET_SECONDS):
            self._wrong.append(f"it does not come to rest: {sorted(books.held)}, {len(self._harms.below())} processes")

    async def _ready(self) -> bool:
        with contextlib.suppress(OSError, TimeoutError, AssertionError):
            status, _ = await self.host.http("/readyz")
            return status == 200
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Size:
    pid: int
    descriptors: int
    bytes: int
    zombies: int


def _size(host: HostProcess) -> _Size:
    process = psutil.Process(host.pid)
    return _Size(
        pid=host.pid,
        descriptors=process.num_fds(),
        bytes=process.memory_info().rss,
        zombies=len(zombies(host.pid)),
    )
