"""A host of one agent in front of a fake server, for tests of what becomes of its processes."""

import json
import textwrap
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from agenthost.jobs import JobStatus
from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.testing.values import OfferOutcome, OfferResult
from tests.support.host import HostProcess, write_agent
from tests.support.polling import poll
from tests.support.process_states import ENDED, state_of, zombies
from tests.support.protocols import RunHost

AGENT = "probe"

PROBE = """
import asyncio, json, os, signal, subprocess, sys, threading, time
from pathlib import Path
from agenthost import JobContext

def tell(ctx, **facts):
    file = Path(f"{ctx.job.id}.part")
    file.write_text(json.dumps(facts))
    file.rename(f"{ctx.job.id}.json")

async def until(name):
    while not Path(name).exists():
        await asyncio.sleep(0.01)
"""
"""What the agents under test begin with: `tell` leaves facts for the test, `until` waits for a file of it."""

Start = Callable[..., Awaitable["AgentHost"]]  # start(code, yaml="", **options): see the fixture `start`


class AgentHost:
    """A registered host. `offer` is accepted or fails the test; `facts` are what the job told."""

    def __init__(self, host: HostProcess, server: FakeLiveKitServer, folder: Path) -> None:
        self.host = host
        self.server = server
        self.folder = folder
        self._offers = 0

    async def try_offer(self, metadata: str = "", **options: Any) -> OfferResult:
        """Offer a job in a room of its own, whatever becomes of it."""
        self._offers += 1
        return await self.server.offer(f"room-{self._offers}", agent_name=AGENT, metadata=metadata, **options)

    async def offer(self, metadata: str = "") -> str:
        """The id of a job that was assigned."""
        result = await self.try_offer(metadata)
        assert result.outcome is OfferOutcome.ASSIGNED, f"{result.outcome}\n{self.host.output()}"
        return result.job_id

    async def run(self, metadata: str = "", *, timeout: float = 15.0) -> dict[str, Any]:
        """Run one job to its good end; what it told."""
        job_id = await self.offer(metadata)
        await self.ended(job_id, JobStatus.SUCCESS, timeout=timeout)
        return self.facts(job_id)

    async def started(self, job_id: str, *, timeout: float = 15.0) -> int:
        """Wait until the job's entrypoint is called; its pid."""
        line = await self.host.wait_event("job started", job_id=job_id, timeout=timeout)
        return int(line.fields["pid"])

    async def start_job(self, metadata: str = "") -> tuple[str, int]:
        """Id and pid of a job that runs."""
        job_id = await self.offer(metadata)
        return job_id, await self.started(job_id)

    async def ended(self, job_id: str, status: JobStatus, *, timeout: float = 15.0) -> str:
        """Wait until the server was told this end of the job; the error with it."""
        try:
            return (await self.server.wait_status(job_id, status, timeout=timeout)).error
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{self.host.output()}") from None

    def facts(self, job_id: str) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads((self.folder / f"{job_id}.json").read_text())
        return facts

    async def wait_facts(self, job_id: str, *, timeout: float = 10.0) -> dict[str, Any]:
        """What a job told that still runs."""
        await poll((self.folder / f"{job_id}.json").exists, timeout=timeout, what=f"{job_id} told nothing")
        return self.facts(job_id)

    def let_go(self, name: str) -> None:
        """Make the file that jobs wait for with `until`."""
        (self.folder / name).touch()

    # ── its processes ────────────────────────────────────────────────────────────────────────────────────────

    def children(self) -> list[psutil.Process]:
        """All direct children of the host that are no zombies, oldest first."""
        found = [child for child in psutil.Process(self.host.pid).children() if state_of(child) not in ENDED]
        return sorted(found, key=lambda child: (child.create_time(), child.pid))  # known since it was listed

    async def no_zombies(self) -> None:
        """Wait until every process that has ended is reaped."""
        await poll(lambda: not zombies(self.host.pid), timeout=5, what="somebody's child is not reaped")

    @property
    def base(self) -> int:
        """The pid of the base template that was ready last."""
        return self._ready("base ready")

    @property
    def template(self) -> int:
        """The pid of the agent template that was ready last."""
        return self._ready("template ready")

    def _ready(self, event: str) -> int:
        return int(self.host.events(event)[-1].fields["pid"])

    def idle(self) -> list[int]:
        """Pids of the processes that wait for a job: those that the kernel would kill first and that have none yet."""
        taken = {line.fields["pid"] for line in self.host.events("job started")}
        return [child.pid for child in self.children() if child.pid not in taken and _is_for_jobs(child.pid)]

    async def wait_idle(self, count: int, *, other_than: tuple[int, ...] = (), timeout: float = 10.0) -> list[int]:
        """Until exactly `count` processes wait, none of them in `other_than`."""

        def look() -> list[int]:
            idle = self.idle()
            return idle if len(idle) == count and not set(idle) & set(other_than) else []

        return await poll(look, timeout=timeout, what=f"{count} idle processes did not come: {self.idle()}")


def folder_of(start: Start) -> Path:
    """Where the agent's code will lie, for what is to be there before it."""
    partials = start
    while not (len(getattr(partials, "args", ())) > 2):
        partials = partials.func  # type: ignore[attr-defined]
    folder: Path = partials.args[2]  # type: ignore[attr-defined]
    return folder


def _is_for_jobs(pid: int) -> bool:
    try:
        return int(Path(f"/proc/{pid}/oom_score_adj").read_text()) >= 500
    except OSError:
        return False  # it has just ended


async def start_agent(
    run_host: RunHost,
    server: FakeLiveKitServer,
    folder: Path,
    code: str,
    yaml: str = "",
    *,
    start_method: str = "auto",
    env: Mapping[str, str] | None = None,
    under: Sequence[str] = (),
    ready: bool = True,
) -> AgentHost:
    """A host that runs `code` (after PROBE) with these further keys of its file; `ready`: wait until it is up.

    One offer keeps one process: num_idle_processes is 0 unless `yaml` says otherwise.
    """
    keys = textwrap.dedent(yaml)
    defaults = {
        "entrypoint": "my_agent:entrypoint",
        "num_idle_processes": "0",
        "load": "{ max_jobs: 500 }",
        "start_method": start_method,
    }
    defaults |= {"http": "{ listen: none }", "log_level": "DEBUG"}
    lines = [f"{key}: {value}" for key, value in defaults.items() if f"{key}:" not in keys]
    text = "\n".join(["version: 1", f"agent_name: {AGENT}", *lines, keys])
    file = write_agent(folder, PROBE + textwrap.dedent(code), text)
    host = await run_host(file, server=server, env=env, under=under)
    agent = AgentHost(host, server, folder)
    if ready:
        await host.wait_event("host started", timeout=30)
    return agent
