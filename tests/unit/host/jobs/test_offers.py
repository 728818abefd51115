"""Offers of a host that is about to end; the process that is reserved for them is played by the test."""

from types import SimpleNamespace

from agenthost.host.current import Current
from agenthost.host.hosted_agent import HostedAgent
from agenthost.host.jobs.admission import Admission
from agenthost.host.jobs.job import Job
from agenthost.host.jobs.offers import OfferHandler
from agenthost.host.jobs.registry import JobRegistry
from agenthost.host.load_control import LoadControl
from agenthost.internal_errors import InternalErrors
from agenthost.jobs import Offer, Reject
from agenthost.logs.events import get_logger
from agenthost.metrics import InternalPart, Metrics
from agenthost.plan import Plan
from agenthost.processes.cause_of_death import OomWatch
from agenthost.processes.child_process import ChildProcess
from agenthost.processes.job_process import JobProcess
from agenthost.processes.pool import Pool
from agenthost.status import HostState
from tests.support.jumping_loop import run_jumping
from tests.support.played_process import PlayedStarter, played_home
from tests.support.values import make_offer


class KeepingPool(Pool):
    """It takes no process back."""

    def give_back(self, process: JobProcess) -> None:
        raise RuntimeError("it is not taken back")


class NothingLost:
    """Nobody looks after calls that are lost."""

    def missed(self, receiver: HostedAgent, offer: Offer) -> None: ...

    def terminated(self, job: Job) -> None: ...


def test_process_of_an_offer_that_the_drain_has_overtaken_is_ended(two_agents: Plan) -> None:
    """It was started while the host began to drain, and its pool does not take it back: the answer is as ever."""

    async def scenario() -> None:
        log, metrics, current = get_logger("test"), Metrics(), Current(two_agents)

        class Starter(PlayedStarter):
            async def start(self, process: ChildProcess, kind: str) -> None:
                current.state = HostState.DRAINING
                await super().start(process, kind)

        starter = Starter()
        pool = KeepingPool("a", starter=starter, home=played_home(), num_idle=0, init_seconds=10)
        generation = SimpleNamespace(pool=pool, reserve=pool.reserve, hook=None, values=None)
        agent = HostedAgent(two_agents.agents["a"], generation)
        current.agents = {"a": agent}
        errors = InternalErrors(metrics, log)
        jobs = JobRegistry(metrics=metrics, errors=errors, oom=OomWatch(), log=log)
        load = LoadControl(current, jobs, log=log)
        load.tune(two_agents.load)
        handler = OfferHandler(
            agent,
            current=current,
            jobs=jobs,
            admission=Admission(current, jobs, load),
            load=load,
            lost=NothingLost(),
            metrics=metrics,
            errors=errors,
        )
        answer = await handler.answer(make_offer("r"), None)
        assert answer == Reject(reason="draining")
        await (await starter.made).ended
        assert (jobs.slots_used, metrics.internal_errors(InternalPart.JOB)) == (0, 1)
        starter.end()

    run_jumping(scenario())
