"""A host of which a part is broken (tests/support/broken_host.py): that part answers for itself, and calls go on."""

import asyncio
import re
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agenthost.control.client import ControlClient
from agenthost.control.location import default_path
from agenthost.jobs import JobStatus
from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.testing.values import Faults, OfferOutcome
from tests.support.broken_host import ERROR, SWITCH, broken
from tests.support.host import HostProcess, signal_again, write_agent
from tests.support.polling import poll
from tests.support.protocols import RunHost

CODE = """
import asyncio
from pathlib import Path

from agenthost import JobContext


async def entrypoint(ctx: JobContext) -> None:
    while not Path(f"leave-{ctx.room.name}").exists():
        await asyncio.sleep(0.02)
"""
YAML = """
version: 1
agent_name: a
entrypoint: my_agent:entrypoint
num_idle_processes: 0
load: { max_jobs: 50, memory: 99% }
limits: { shutdown: 1s }
http: { listen: "127.0.0.1:0" }
"""


class Stage:
    """A host that breaks at `harm`, with a job that runs already."""

    def __init__(self, host: HostProcess, server: FakeLiveKitServer, folder: Path) -> None:
        self.host = host
        self.server = server
        self._folder = folder

    async def start(self, room: str) -> str:
        """The id of a job that runs."""
        result = await self.server.offer(room, agent_name="a")
        assert result.outcome is OfferOutcome.ASSIGNED, self.host.output()
        await self.server.wait_status(result.job_id, JobStatus.RUNNING)
        return result.job_id

    def harm(self) -> None:
        (self._folder / SWITCH).touch()

    def mend(self) -> None:
        (self._folder / SWITCH).unlink()

    async def ends(self, job_id: str, room: str) -> None:
        """It goes on, until it ends by itself."""
        assert [one.status for one in self.server.statuses(job_id)] == [JobStatus.RUNNING], self.host.output()
        (self._folder / f"leave-{room}").touch()
        await self.server.wait_status(job_id, JobStatus.SUCCESS)

    async def count(self, part: str) -> int:
        """What the host's metrics say."""
        _, text = await self.host.http("/metrics")
        found = re.search(rf'agenthost_internal_errors_total\{{part="{part}"\}} (\d+)', text)
        return int(found[1]) if found else 0


Make = Callable[[str], Awaitable[Stage]]


@pytest.fixture
def stage(run_host: RunHost, tmp_path: Path, fake_server: FakeLiveKitServer) -> Make:
    """`await stage("module:name")`: a host whose function of that name can be broken."""

    async def make(target: str) -> Stage:
        environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
        folder = write_agent(tmp_path, CODE, YAML)
        host = await run_host(folder, server=fake_server, under=broken(target), env=environ)
        await host.wait_event("registered")
        return Stage(host, fake_server, tmp_path)

    return make


async def test_loop_that_fails_again_and_again_drains_the_host(stage: Make) -> None:
    """Measuring the load fails, also when the drain asks for it: the call ends by itself, then exit 1."""
    one = await stage("agenthost.host.load_control:LoadControl.report")
    job = await one.start("r")
    one.harm()
    line = await one.host.wait_event("host failed", timeout=20)
    assert "drains" in line.fields["effect"]
    await one.host.wait_event("draining", jobs=1)
    assert await one.count("task") >= 5
    await one.ends(job, "r")
    assert await one.host.exit_code() == 1
    assert ERROR in one.host.output()


async def test_first_signal_to_a_host_that_failed_ends_no_call(stage: Make) -> None:
    """Whoever stops it does not know that it drains already: calls go on, and the second signal is the second."""
    one = await stage("agenthost.host.load_control:LoadControl.report")
    quick, slow = await one.start("quick"), await one.start("slow")
    one.harm()
    await one.host.wait_event("draining", jobs=2, timeout=20)
    one.host.signal(signal.SIGTERM)
    await one.host.wait_event("draining already", jobs=2)
    await one.ends(quick, "quick")
    await signal_again(one.host, signal.SIGTERM)
    await one.host.wait_event("ending jobs", jobs=1)
    await one.host.wait_event("job ended", job_id=slow, reason="second signal")
    assert await one.host.exit_code() == 1


async def test_stop_now_of_a_host_that_failed_ends_its_calls(stage: Make, tmp_path: Path) -> None:
    """It is the second signal, whether or not there was a first; a `stop` before it ends none."""
    one = await stage("agenthost.host.load_control:LoadControl.report")
    control = ControlClient(default_path(tmp_path / "agenthost.yaml", {"XDG_RUNTIME_DIR": str(tmp_path)}))
    job = await one.start("r")
    one.harm()
    await one.host.wait_event("draining", jobs=1, timeout=20)
    await asyncio.to_thread(control.stop, now=False)
    await one.host.wait_event("draining already", jobs=1)
    assert one.host.events("ending jobs") == []
    await asyncio.to_thread(control.stop, now=True)
    await one.host.wait_event("job ended", job_id=job, reason="second signal")
    assert one.host.events("killing jobs") == []


async def test_signal_that_fails_inside_the_host_is_not_the_last_one_heard(stage: Make) -> None:
    """One job that cannot be ended costs no other its end, and the next signal is heard."""
    one = await stage("agenthost.host.jobs.job:Job.stop_within")
    jobs = [await one.start("r"), await one.start("s")]
    one.host.signal(signal.SIGTERM)
    await one.host.wait_event("draining", jobs=2)
    one.harm()
    await signal_again(one.host, signal.SIGTERM)
    for job in jobs:
        await one.host.wait_event("internal error", part="job", job_id=job)
    await signal_again(one.host, signal.SIGTERM)
    await one.host.wait_event("killing jobs", jobs=2)
    assert await one.host.exit_code() == 3


async def test_failing_loop_of_a_host_that_drains_is_told(stage: Make) -> None:
    """It drains already: its log says what failed, and it ends with 1 when the call has."""
    one = await stage("agenthost.host.load_control:LoadControl.report")
    job = await one.start("r")
    one.host.signal(signal.SIGTERM)
    await one.host.wait_event("draining", jobs=1)
    one.harm()
    line = await one.host.wait_event("host failed", timeout=20)
    assert line.fields["effect"] == "it goes on draining"
    await one.ends(job, "r")
    assert await one.host.exit_code() == 1


@pytest.mark.parametrize(
    "target", ["agenthost.host.jobs.running_job:start_message", "agenthost.host.jobs.offers:JobSpec"]
)
async def test_job_that_fails_inside_the_host_is_told_and_killed(stage: Make, target: str) -> None:
    """While it is handed over, or before that: the server hears of it, its process and slot are free, others go on."""
    one = await stage(target)
    other = await one.start("other")
    before = set(one.host.survivors())
    one.harm()
    result = await one.server.offer("r", agent_name="a")
    told = await one.server.wait_status(result.job_id, JobStatus.FAILED)
    assert ERROR in told.error
    assert await one.count("job") == 1
    await poll(lambda: set(one.host.survivors()) <= before, timeout=5, what="its process lives")
    one.mend()
    await one.ends(await one.start("next"), "next")
    await one.ends(other, "other")


async def test_process_that_cannot_be_given_back_is_ended(stage: Make) -> None:
    """The job that did not use it is over all the same: its slot is free, and no drain waits for it."""
    one = await stage("agenthost.processes.pool:Pool.give_back")
    other = await one.start("other")
    before = set(one.host.survivors())
    one.server.faults = Faults(lose_assignments=True)
    one.harm()
    lost = await one.server.offer("r", agent_name="a")
    assert lost.outcome is OfferOutcome.LOST
    (reserved,) = set(one.host.survivors()) - before
    await one.host.wait_event("job not assigned", job_id=lost.job_id)
    await one.host.wait_event("internal error", part="job", job_id=lost.job_id)
    await poll(lambda: not reserved.is_running(), timeout=5, what="its process lives")
    one.host.signal(signal.SIGTERM)
    await one.host.wait_event("draining", jobs=1)
    await one.ends(other, "other")
    assert await one.host.exit_code() == 0


async def test_job_whose_end_fails_inside_the_host_is_over_all_the_same(stage: Make) -> None:
    """It cannot be counted: the drain that waits for its end hears of it."""
    one = await stage("agenthost.metrics:Metrics.job_ended")
    job = await one.start("r")
    one.host.signal(signal.SIGTERM)
    await one.host.wait_event("draining", jobs=1)
    one.harm()
    await one.ends(job, "r")
    await one.host.wait_event("internal error")
    assert await one.host.exit_code() == 0


async def test_job_that_was_terminated_ends_when_nobody_can_tell_whether_it_is_meant(stage: Make) -> None:
    """The question whether its dispatch stands fails inside the host: the server's word holds."""
    one = await stage("agenthost.recovery.recovery:dispatch_stands")
    job = await one.start("r")
    (dispatch,) = one.server.rooms.list_dispatches("r")
    one.harm()
    await one.server.rooms.delete_dispatch("r", dispatch.id)
    await one.host.wait_event("internal error", part="recovery", job_id=job)
    await one.host.wait_event("job stopping", job_id=job, reason="terminated by the server")
    await one.ends(job, "r")


async def test_message_that_the_host_fails_to_read_is_one_message(stage: Make) -> None:
    """Its socket is not dropped, with which the server would forget all jobs; the error is counted."""
    one = await stage("agenthost.dispatch.wire:_offer")
    job = await one.start("r")
    one.harm()
    result = await one.server.offer("unread", agent_name="a")
    assert result.outcome is not OfferOutcome.ASSIGNED
    assert await one.count("message") >= 1
    assert one.host.events("registration lost") == []
    one.mend()
    await one.ends(await one.start("next"), "next")
    await one.ends(job, "r")


async def test_request_that_fails_inside_the_host_is_answered_with_500(stage: Make) -> None:
    """And counted; the next one is answered as ever."""
    one = await stage("agenthost.host.host:host_status")
    one.harm()
    status, text = await one.host.http("/readyz")
    assert (status, ERROR in text) == (500, False)
    one.mend()
    assert (await one.host.http("/readyz"))[0] == 200
    assert await one.count("http") == 1


async def test_http_server_that_cannot_be_made_is_made_later(stage: Make) -> None:
    """Whoever has asked meanwhile waits in the socket, and is answered then."""
    one = await stage("agenthost.endpoints.server:Endpoints._app")
    one.harm()
    port = await one.host.http_port()
    assert port
    first = asyncio.create_task(one.host.http("/healthz", timeout=10))
    await one.host.wait_event("internal error", part="http")
    one.mend()
    assert (await first)[0] == 200
