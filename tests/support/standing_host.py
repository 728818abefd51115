"""One host on a fake server for many examples of a property test, replaced when an example has spoiled it.

hypothesis calls tests that are not async, so this has an event loop of its own: `run` awaits on it.
"""

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import Coroutine, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from agenthost.testing.host_process import AGENTHOST
from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.testing.worker_socket import ConnectedWorker
from tests.support.host import HostProcess, LogLine, write_agent
from tests.support.polling import poll

PROBE = "probe"
"""The room of offers that only show that the host has read what came before them."""

START_SECONDS = 30.0
QUIET_SECONDS = 15.0

T = TypeVar("T")


class StandingHost:
    """`with StandingHost(folder, code, yaml) as standing:`, then `with standing.example():` around each example.

    server   the same one for all examples
    folder   the host's
    numbers  never the same one twice, for what an example must not share with another

    `processes` are the host's own and its children while it has no jobs and its base rests.
    """

    def __init__(
        self,
        folder: Path,
        code: str,
        yaml: str,
        *,
        processes: int,
        agents: int = 1,
        program: Sequence[str] = AGENTHOST,
    ) -> None:
        self.folder = folder
        self.numbers = itertools.count(1)
        self.server = FakeLiveKitServer()
        self._file = write_agent(folder, code, yaml)
        self._agents = agents
        self._program = program
        self._runner = asyncio.Runner()
        self._host: HostProcess | None = None
        self._spoiled = False
        self._usual_processes = processes
        self._began = 0

    def __enter__(self) -> "StandingHost":
        self._runner.__enter__()
        self._runner.run(self.server.start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if self._host is not None:
                with contextlib.suppress(AssertionError) if self._spoiled else contextlib.nullcontext():
                    self._runner.run(self._host.close())
            self._runner.run(self.server.stop())
        finally:
            self._runner.__exit__(kind, error, traceback)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` returns. If it raises, the host is not used for another example."""
        try:
            return self._runner.run(work)
        except BaseException:
            self._spoiled = True
            raise

    @contextlib.contextmanager
    def example(self) -> Iterator[None]:
        """A host that runs and has nothing to do, for one example."""
        self.begin()
        try:
            yield
        except BaseException:
            self._spoiled = True
            raise

    def begin(self) -> None:
        """The same where no block can be around the example; what goes wrong in it must go wrong in `run`."""
        if self._spoiled or self._host is None or not self._host.running:
            self.run(self._replace())
        self._began = len(self.host.lines)

    def spoil(self) -> None:
        """The next example shall have another host."""
        self._spoiled = True

    @property
    def host(self) -> HostProcess:
        assert self._host is not None, "no example has begun"
        return self._host

    @property
    def worker(self) -> ConnectedWorker:
        """The host's only, or oldest, registration."""
        return self.server.workers[0]

    def lines(self, message: str, **fields: Any) -> list[LogLine]:
        """What the host has logged since the example began."""
        return [line for line in self.host.lines[self._began :] if line.matches(message, fields)]

    def said(self) -> str:
        """What the host has logged since the example began, for the message of a failed assertion."""
        shown = [line for line in self.host.lines[self._began :] if line.fields.get("room") != PROBE]
        dull = {"timestamp", "pid", "agent", "target", "decision_microseconds", "milliseconds", "place"}
        said = [
            f"{one.level} {one.message} { {k: v for k, v in one.fields.items() if k not in dull} }" for one in shown
        ]
        return "\n".join(["the host" if self.host.running else "the host, which has ended:", *said, self.host.stderr])

    # ── what must hold ───────────────────────────────────────────────────────────────────────────────────────

    def check_lives(self) -> None:
        assert self.host.running, f"the host has ended:\n{self.said()}"

    async def check_well(self) -> None:
        """It lives, answers, holds nothing, and has the processes that it has without jobs."""
        self.check_lives()
        assert await self.host.http("/healthz") == (200, "healthy\n")
        await self.wait_slots(0)
        await self._wait_processes()
        assert self.host.stray == [], self.host.stray
        assert self.host.stderr == ""

    async def wait_slots(self, used: int, *, seconds: float = 5.0) -> None:
        """Until /worker and /metrics say that so many slots are in use."""
        deadline = time.monotonic() + seconds
        while set((found := await self._slots()).values()) != {used}:
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.02)
        else:
            return
        raise AssertionError(f"{used} slots should be in use: {found}\n{self.said()}")

    async def _slots(self) -> dict[str, int]:
        _, body = await self.host.http("/worker")
        worker = json.loads(body)
        _, text = await self.host.http("/metrics")
        lines = [line.partition(" ") for line in text.splitlines()]
        metrics = {name: int(float(value)) for name, _, value in lines if name == "agenthost_host_slots_used"}
        agents = {"of all agents": sum(agent["slots_used"] for agent in worker["agents"])}
        return {"/worker": worker["slots_used"], **agents, **metrics}

    async def _wait_processes(self) -> None:
        if not await poll(lambda: len(self.host.survivors()) == self._usual_processes, timeout=QUIET_SECONDS):
            pids = [one.pid for one in self.host.survivors()]
            raise AssertionError(f"{len(pids)} processes instead of {self._usual_processes}: {pids}\n{self.said()}")

    # ── its life ─────────────────────────────────────────────────────────────────────────────────────────────

    async def _replace(self) -> None:
        if self._host is not None:
            with contextlib.suppress(AssertionError):  # what was wrong with it has been told
                await self._host.close()
        host = HostProcess("start", self._file, cwd=self.folder, env=self.server.environment, program=self._program)
        self._host, self._spoiled = host, True
        await host.start()
        await host.wait_event("host started", timeout=START_SECONDS)
        await host.wait_event("registered", count=self._agents, timeout=START_SECONDS)
        self._spoiled = False
