"""One job whose process is played by the test, on a clock that jumps: whatever goes wrong, its process ends."""

import asyncio
from collections.abc import Callable

import pytest

from agenthost.config.model import LiveKitConfig, SessionHost
from agenthost.dispatch.token import Credentials, guest_token
from agenthost.host.guests import GuestList
from agenthost.host.jobs.job_spec import JobSpec
from agenthost.host.jobs.running_job import RunningJob
from agenthost.host.jobs.states import JobState
from agenthost.internal_errors import InternalErrors
from agenthost.ipc.messages import Heartbeat, InitFailed
from agenthost.jobs import Accept, DispatchTimes, JobOutcome, JobStatus
from agenthost.logs.events import get_logger
from agenthost.metrics import InternalPart, Metrics
from agenthost.processes.job_process import JobProcess
from tests.support.jumping_loop import run_jumping
from tests.support.played_process import PlayedStarter, played_job_process
from tests.support.values import EVERYTHING, make_agent, make_offer

KEYS = Credentials(api_key="key", api_secret="a secret of some length")
SERVER = LiveKitConfig(
    url="ws://one", api_key=KEYS.api_key, api_secret=KEYS.api_secret, proxy=None, secret_in_jobs=None
)
SPEC = JobSpec(
    offer=make_offer("r"),
    accept=Accept(identity="agent"),
    times=DispatchTimes(),
    worker_id="AW_1",
    agent="a",
    generation=1,
    token=guest_token(KEYS, "r", "agent"),
    url=SERVER.url,
    server=SERVER,
    permissions=EVERYTHING,
    limits=make_agent().limits,
    settings={},
    secret_in_job=False,
    attempt=1,
    session_host=SessionHost.OFF,
)


class Stage:
    """A job on a process that is in its prewarm; `told` is what the server heard of it."""

    def __init__(self, process: JobProcess, moved: Callable[[JobState], None] = lambda state: None) -> None:
        self.metrics = Metrics()
        self.told: list[JobStatus] = []
        self.process = process
        self.job = RunningJob(
            SPEC,
            process,
            guests=GuestList(),
            reserve=_no_other,
            report=lambda status, error: self.told.append(status),
            moved=moved,
            errors=InternalErrors(self.metrics, get_logger("test")),
            log=get_logger("test"),
        )

    async def begin(self) -> "asyncio.Task[JobOutcome]":
        """Run it until its process has been told of it."""
        running = asyncio.create_task(self.job.run())
        await asyncio.sleep(0)
        return running


async def _no_other() -> JobProcess:
    raise AssertionError("no other process is asked for")


def unmoved(state: JobState) -> None:
    raise RuntimeError(f"it cannot be {state.value}")


@pytest.mark.parametrize(
    "end",
    [
        lambda job: job.fail(ValueError("of the host")),
        lambda job: job.kill("third signal"),
        lambda job: job.stop_within("drain deadline", 1.0),
        lambda job: job.stop("room closed"),
    ],
    ids=["fail", "kill", "stop_within", "stop"],
)
def test_job_whose_state_cannot_be_told_ends_all_the_same(end: Callable[[RunningJob], None]) -> None:
    """What the registry says of it is one thing, its process another."""

    async def scenario() -> None:
        starter = PlayedStarter()
        stage = Stage(await played_job_process(starter), unmoved)
        running = await stage.begin()
        end(stage.job)
        await running
        assert stage.process.ended.done()
        assert len(stage.told) == 1
        assert stage.metrics.internal_errors(InternalPart.JOB) >= 1
        starter.end()

    run_jumping(scenario())


def test_process_that_outlives_the_failure_of_its_prewarm_is_killed() -> None:
    """It has said why, and then hangs in what is done at its exit: the job's outcome and its slot wait for it."""

    async def scenario() -> None:
        starter = PlayedStarter()
        stage = Stage(await played_job_process(starter))
        running = await stage.begin()
        stage.process.received(InitFailed(phase="prewarm", error="ValueError", message="no model"))
        outcome = await running
        assert outcome.error == "prewarm failed: ValueError: no model"
        assert stage.told == [JobStatus.FAILED]
        starter.end()

    run_jumping(scenario())


def test_job_says_whether_it_is_in_its_room() -> None:
    """What it said last is what recovery goes by."""

    async def scenario() -> None:
        starter = PlayedStarter()
        stage = Stage(await played_job_process(starter))
        running = await stage.begin()
        said = []
        for connected in (True, False, True):
            stage.process.received(Heartbeat(people=0, connected=connected))
            said.append(stage.job.connected)
        assert said == [True, False, True]
        stage.job.kill("third signal")
        await running
        starter.end()

    run_jumping(scenario())
