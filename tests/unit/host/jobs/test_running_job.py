"""One job whose process is played by the test, on a clock that jumps: whatever goes wrong, its process ends."""

from collections.abc import Callable

import pytest

from agenthost.host.jobs.running_job import RunningJob
from agenthost.host.jobs.states import JobState
from agenthost.ipc.messages import Heartbeat, InitFailed
from agenthost.jobs import JobStatus
from agenthost.metrics import InternalPart
from tests.support.jumping_loop import run_jumping
from tests.support.played_job import PlayedJob
from tests.support.played_process import PlayedStarter, played_job_process


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
        played = PlayedJob(await played_job_process(starter), unmoved)
        running = await played.begin()
        end(played.job)
        await running
        assert played.process.ended.done()
        assert len(played.told) == 1
        assert played.metrics.internal_errors(InternalPart.JOB) >= 1
        starter.end()

    run_jumping(scenario())


def test_process_that_outlives_the_failure_of_its_prewarm_is_killed() -> None:
    """It has said why, and then hangs in what is done at its exit: the job's outcome and its slot wait for it."""

    async def scenario() -> None:
        starter = PlayedStarter()
        played = PlayedJob(await played_job_process(starter))
        running = await played.begin()
        played.process.received(InitFailed(phase="prewarm", error="ValueError", message="no model"))
        outcome = await running
        assert outcome.error == "prewarm failed: ValueError: no model"
        assert played.told == [JobStatus.FAILED]
        starter.end()

    run_jumping(scenario())


def test_job_says_whether_it_is_in_its_room() -> None:
    """What it said last is what recovery goes by."""

    async def scenario() -> None:
        starter = PlayedStarter()
        played = PlayedJob(await played_job_process(starter))
        running = await played.begin()
        said = []
        for connected in (True, False, True):
            played.process.received(Heartbeat(people=0, connected=connected))
            said.append(played.job.connected)
        assert said == [True, False, True]
        played.job.kill("third signal")
        await running
        starter.end()

    run_jumping(scenario())
