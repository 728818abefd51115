"""What recovery is told of the jobs of this host; a job's process is played by the test."""

import asyncio
from types import SimpleNamespace

import pytest

from agenthost.host.current import Current
from agenthost.host.hosted_agent import HostedAgent
from agenthost.host.jobs.admission import Admission
from agenthost.host.jobs.job import Job
from agenthost.host.jobs.registry import JobRegistry
from agenthost.host.load_control import LoadControl
from agenthost.host.recovery_view import RecoveryView
from agenthost.host.tasks import Tasks
from agenthost.internal_errors import InternalErrors
from agenthost.ipc.messages import Connected, Heartbeat, Started
from agenthost.logs.events import get_logger
from agenthost.metrics import Metrics
from agenthost.plan import Plan
from agenthost.processes.cause_of_death import OomWatch
from agenthost.rules import Decision
from tests.support.jumping_loop import run_jumping
from tests.support.played_job import SPEC, PlayedJob
from tests.support.played_process import PlayedStarter, played_job_process
from tests.support.values import EVERYTHING


@pytest.mark.parametrize("connected", [True, False])
def test_job_of_a_worker_that_is_gone_is_doubtful_and_says_whether_it_is_in_its_room(
    two_agents: Plan, connected: bool
) -> None:
    """The server tells its end to nobody; the job itself knows better than a list of rooms."""

    async def scenario() -> None:
        log, metrics, current = get_logger("test"), Metrics(), Current(two_agents)
        errors = InternalErrors(metrics, log)
        jobs = JobRegistry(metrics=metrics, errors=errors, oom=OomWatch(), log=log)
        admission = Admission(current, jobs, LoadControl(current, jobs, log=log))
        tasks = Tasks(errors, lambda error: None)
        view = RecoveryView(current, jobs, admission, session=None, tasks=tasks, metrics=metrics, errors=errors)
        starter, agent = PlayedStarter(), HostedAgent(two_agents.agents["a"], None)
        played = PlayedJob(await played_job_process(starter))
        decision = Decision(answer=SPEC.accept, agent="a", permissions=EVERYTHING, rule="r", place=None, reason="")
        registration = SimpleNamespace(worker_id="AW_2", key=two_agents.agents["a"].registration)
        job = Job(SPEC.offer, decision, registration=registration, receiver=agent, target=agent)
        jobs.take(job, host_limit=None, agent_limit=None)
        jobs.accept(job, SPEC.accept)
        jobs.start(job, played.job)
        await asyncio.sleep(0.01)
        played.process.received(Started())
        await asyncio.sleep(0.01)
        played.process.received(Connected(room_sid="RM_1", participant_sid="PA_1"))
        played.process.received(Heartbeat(people=1, connected=connected))
        (doubtful,) = view.doubtful()
        assert (doubtful.job_id, doubtful.room, doubtful.joined) == (job.id, job.room, True)
        assert (doubtful.connected, doubtful.dispatch_id) == (connected, "")
        view.close_job(job.id)
        await played.process.ended
        starter.end()

    run_jumping(scenario())
