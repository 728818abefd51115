"""The load of agents that come and go; the process of a load function is played by the test."""

import asyncio
from types import SimpleNamespace

import pytest
from msgspec.structs import replace

from agenthost.config.model import CustomLoad, LoadLimits
from agenthost.host.current import Current
from agenthost.host.hosted_agent import HostedAgent
from agenthost.host.jobs.registry import JobRegistry
from agenthost.host.load_control import SAMPLE_SECONDS, LoadControl
from agenthost.internal_errors import InternalErrors
from agenthost.ipc.messages import LoadAnswer, Ready
from agenthost.logs.events import get_logger
from agenthost.metrics import Metrics
from agenthost.plan import Plan
from agenthost.processes.cause_of_death import OomWatch
from agenthost.processes.hook_process import Hook
from tests.support.jumping_loop import run_jumping
from tests.support.played_process import PlayedStarter, played_home


@pytest.mark.parametrize("answers", [True, False])
def test_agent_that_is_removed_while_its_load_is_asked_fails_nothing(
    two_agents: Plan, caplog: pytest.LogCaptureFixture, answers: bool
) -> None:
    """A reload takes it away meanwhile: what it answers, or that it does not, is of no interest any more."""

    async def scenario() -> None:
        starter, log = PlayedStarter(), get_logger("test")
        hook = Hook("a", starter=starter, home=played_home(), init_seconds=10)
        plan = two_agents.agents["a"]
        load = LoadLimits(custom=CustomLoad(callable="m:load", limit=1.0))
        agent = HostedAgent(
            replace(plan, config=replace(plan.config, load=load)), SimpleNamespace(hook=hook, values=None)
        )
        current, metrics = Current(two_agents), Metrics()
        jobs = JobRegistry(metrics=metrics, errors=InternalErrors(metrics, log), oom=OomWatch(), log=log)
        control = LoadControl(current, jobs, log=log)
        current.agents = {"a": agent}
        control.tune(LoadLimits())
        sampling = asyncio.create_task(control.run())
        process = await starter.made
        process.received(Ready())
        current.agents = {}
        control.tune(LoadLimits())
        await asyncio.sleep(0.01)  # the question is asked, and its time is not over
        if answers:
            process.received(LoadAnswer(number=1, load=0.5))
        await asyncio.sleep(SAMPLE_SECONDS)
        assert not sampling.done()
        assert caplog.messages == []
        sampling.cancel()
        starter.end()
        await hook.close()

    run_jumping(scenario())
