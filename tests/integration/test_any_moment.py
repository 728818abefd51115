"""A signal or a lost connection at any step of an offer's way, from its first byte to the end of its job.

The host counts the callbacks of its event loop (tests/support/faulty_host.py) and is harmed in between two of them, so
every await is met, and without luck. What was accepted is run, or its failure told; nothing is left. The short form
takes some of the steps, `make chaos` all.
"""

import asyncio
import itertools
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from agenthost.jobs import JobStatus
from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.testing.values import OfferOutcome, OfferResult
from tests.support import faulty_host
from tests.support.effort import TIMEOUT_SECONDS, moments
from tests.support.host import HostProcess, write_agent
from tests.support.polling import poll

CODE = """
import asyncio


async def entrypoint(ctx):
    if "stay" in ctx.job.metadata:
        await asyncio.sleep(3600)


async def handler(request):
    await request.accept()
"""
YAML = """
version: 1
agent_name: a
entrypoint: my_agent:entrypoint
num_idle_processes: {idle}
load: {{ max_jobs: 10 }}
limits: {{ shutdown: 1s }}
drain_timeout: {drain}
requests:
  handler: my_agent:handler
  rules: [{{ name: probe, when: {{ room.name: probe }}, action: reject }}]
settings: {{ edition: {edition} }}
http: {{ listen: "127.0.0.1:0" }}
"""
HOSTS_AT_ONCE = 4
DROPS_A_HOST = 3
"""Each loss in a row is waited for twice as long."""

pytestmark = [pytest.mark.slow(20), pytest.mark.timeout(TIMEOUT_SECONDS)]


class Stage:
    """A host that can be harmed, and the server that it is registered with."""

    def __init__(self, server: FakeLiveKitServer, folder: Path, *, drain: str, idle: int) -> None:
        self.server = server
        self._folder = folder
        self._numbers = itertools.count()
        self._values = {"drain": drain, "idle": idle}
        self.usual_processes = 3 + idle  # the host, a template, and a process for handlers
        file = self.edit(0)
        self.steps_file = folder / "steps"
        self.host = HostProcess(
            "start",
            file,
            cwd=folder,
            env={**server.environment, "STEPS_FILE": str(self.steps_file)},
            program=(sys.executable, faulty_host.__file__),
        )

    def edit(self, edition: int) -> Path:
        """A reload has something to do."""
        return write_agent(self._folder, CODE, YAML.format(edition=edition, **self._values))

    async def call(self, how: str = "", *, fault: str = "NONE", step: int = 0) -> OfferResult:
        """Offer a job in a room of its own; the fault happens so many steps after it has come. `how`: or `stay`."""
        number = next(self._numbers)
        metadata = f"{how} at-step:{fault}:{step}:{number};"
        return await self.server.offer(f"room-{number}", agent_name="a", metadata=metadata)

    async def steps(self) -> int:
        """How many steps an offer takes, from its first byte until the server knows that its job has ended."""
        for _ in range(2):  # the first one is not like the others
            result = await self.call()
            await self.server.wait_status(result.job_id, JobStatus.SUCCESS)
        await self.server.offer("probe", agent_name="a", metadata="at-step:TELL;")
        return int(self.steps_file.read_text())

    def ends(self) -> tuple[Counter[str], Counter[str]]:
        """What was accepted, and what has ended, by job; each should be there once in both."""
        ended = self.host.events("job ended") + self.host.events("job not assigned")
        accepted = self.host.events("job accepted")
        return Counter(str(one.fields["job_id"]) for one in accepted), Counter(
            str(one.fields["job_id"]) for one in ended
        )

    async def check_told(self, *, connected: bool = True) -> None:
        """Each accepted job has one end in the log, and each that ran one on the wire, unless nobody was there."""
        await poll(lambda: self.ends()[0] == self.ends()[1], timeout=8)
        accepted, ended = self.ends()
        assert accepted == ended, f"accepted {accepted}, ended {ended}\n{self.host.output()}"
        for line in self.host.events("job ended"):
            told = [one.status for one in self.server.statuses(str(line.fields["job_id"]))]
            ends = [status for status in told if status is not JobStatus.RUNNING]
            assert ends == [JobStatus.SUCCESS] or (not connected and not ends), f"{line.fields}: told {told}"

    async def check_ended(self, code: int) -> None:
        """It drained: nothing was dropped, and nothing is left of it."""
        assert await self.host.exit_code(timeout=10) == code, self.host.output()
        await self.check_told()
        dropped = len(self.host.events("job not assigned"))
        assert not dropped, f"a call was dropped:\n{self.host.output()}"
        assert await self.host.wait_no_survivors() == []
        assert self.host.stderr == ""

    async def check_free(self) -> None:
        """It lives, and holds nothing."""
        assert await self.host.http("/healthz") == (200, "healthy\n")
        _, metrics = await self.host.http("/metrics")
        free = "\nagenthost_host_slots_used 0.0\n" in metrics
        assert free, f"a slot is held:\n{self.host.output()}"
        await poll(lambda: len(self.host.survivors()) == self.usual_processes, timeout=8)
        assert len(self.host.survivors()) == self.usual_processes, self.host.output()


@asynccontextmanager
async def stage(folder: Path, *, drain: str = "60s", idle: int = 0) -> AsyncIterator[Stage]:
    folder.mkdir()
    async with FakeLiveKitServer() as server:
        stage = Stage(server, folder, drain=drain, idle=idle)
        await stage.host.start()
        try:
            await stage.host.wait_event("host started", timeout=30)
            yield stage
        finally:
            await stage.host.close()


async def all_at(steps: Iterable[int], trial: Callable[[int], Awaitable[None]]) -> None:
    """Try each, some at a time, and tell all at which it went wrong."""
    at_once = asyncio.Semaphore(HOSTS_AT_ONCE)
    wrong: dict[int, str] = {}

    async def attempt(step: int) -> None:
        async with at_once:
            try:
                await trial(step)
            except (AssertionError, TimeoutError) as error:
                wrong[step] = str(error)

    await asyncio.gather(*map(attempt, steps))
    told = "\n\n".join(f"── at step {step}: {text}" for step, text in sorted(wrong.items()))
    assert not wrong, f"went wrong at the steps {sorted(wrong)}\n{told}"


async def count_steps(folder: Path) -> int:
    """What is swept: the steps of an offer, and some after it."""
    async with stage(folder) as counted:
        return await counted.steps() + 3


# ── signals that end the host ────────────────────────────────────────────────────────────────────────────────


async def test_drain_that_begins_at_any_step_drops_nothing(tmp_path: Path) -> None:
    """SIGTERM: the offer is rejected, or its job runs to its end and is told; exit 0."""

    async def trial(step: int) -> None:
        async with stage(tmp_path / f"at-{step}") as harmed:
            result = await harmed.call(fault="TERM", step=step)
            await harmed.check_ended(0)
            said_yes = any(answer.available for answer in result.answers)
            assert said_yes == bool(harmed.host.events("job ended")), f"{result}\n{harmed.host.output()}"
            assert result.outcome is not OfferOutcome.UNANSWERED

    await all_at(moments(await count_steps(tmp_path / "count"), first=4, more=6), trial)


@pytest.mark.parametrize(("fault", "drain"), [("TERM", "300ms"), ("TERM+TERM", "60s")])
async def test_job_that_is_on_its_way_has_the_deadlines_of_a_drain(tmp_path: Path, fault: str, drain: str) -> None:
    """Its job would stay for an hour: the drain deadline ends it, or the second signal, as one that ran before."""

    async def trial(step: int) -> None:
        async with stage(tmp_path / f"at-{step}", drain=drain) as harmed:
            before = await harmed.call("stay")
            await harmed.server.wait_status(before.job_id, JobStatus.RUNNING)
            await harmed.call("stay", fault=fault, step=step)
            await harmed.check_ended(3)

    await all_at(moments(await count_steps(tmp_path / "count"), first=2, more=4), trial)


# ── what the host lives through ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("idle", [0, 1])
async def test_reload_at_any_step_costs_no_job(tmp_path: Path, idle: int) -> None:
    """SIGHUP, with other settings in the file: the job runs and ends well, and the reload is done."""
    async with stage(tmp_path / "host", idle=idle) as harmed:
        steps = moments(await harmed.steps() + 3, first=4, more=6)
        for edition, step in enumerate(steps, 1):
            harmed.edit(edition)
            result = await harmed.call(fault="HUP", step=step)
            await harmed.host.wait_event("reloaded", count=edition)
            assert result.outcome is OfferOutcome.ASSIGNED, f"at step {step}: {result}\n{harmed.host.output()}"
            await harmed.server.wait_status(result.job_id, JobStatus.SUCCESS)
            await harmed.check_told()
        await harmed.check_free()


async def test_connection_lost_at_any_step_leaves_nothing_held(tmp_path: Path) -> None:
    """The job runs, or is said not to have been assigned; its slot and its process are free, and the host is back."""

    async def trial(first: int) -> None:
        async with stage(tmp_path / f"from-{first}") as harmed:
            for count, step in enumerate(steps[first : first + DROPS_A_HOST], 1):
                await harmed.call(fault="DROP", step=step)
                await harmed.host.wait_event("registration lost", count=count)
                await harmed.host.wait_event("registered", count=count + 1)
                await harmed.check_told(connected=False)
                try:
                    await harmed.check_free()
                except AssertionError as error:
                    raise AssertionError(f"at step {step}: {error}") from None
            result = await harmed.call()
            await harmed.server.wait_status(result.job_id, JobStatus.SUCCESS)

    steps = moments(await count_steps(tmp_path / "count"), first=7, more=5)
    await all_at(range(0, len(steps), DROPS_A_HOST), trial)
