"""Every job once, with its slot: counted exactly whatever comes, in whatever order."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from agenthost.config.model import Permissions
from agenthost.host.hosted_agent import HostedAgent
from agenthost.host.jobs.job import Job
from agenthost.host.jobs.registry import JobRegistry
from agenthost.host.jobs.states import JobState
from agenthost.internal_errors import InternalErrors
from agenthost.jobs import Accept, JobType, Offer, RoomInfo
from agenthost.logs.events import get_logger
from agenthost.metrics import InternalPart, Metrics
from agenthost.plan import Plan
from agenthost.processes.cause_of_death import OomWatch
from agenthost.rules import Decision

ACCEPT = Accept(identity="agent")
PERMISSIONS = Permissions(
    can_publish=True,
    can_subscribe=True,
    can_publish_data=True,
    can_update_metadata=False,
    hidden=False,
    can_subscribe_metrics=False,
    can_publish_sources=None,
)
LIMITS = st.one_of(st.none(), st.integers(1, 4))


class Book:
    """A registry and what it said of itself; `job` makes jobs for it."""

    def __init__(self, plan: Plan) -> None:
        self.metrics = Metrics()
        errors = InternalErrors(self.metrics, get_logger("test"))
        self.registry = JobRegistry(metrics=self.metrics, errors=errors, oom=OomWatch(), log=get_logger("test"))
        self.left: list[str] = []
        self.registry.on_end(lambda job: self.left.append(job.id))
        self._agents = {key: HostedAgent(one, None) for key, one in plan.agents.items()}

    def job(self, job_id: str, *, target: str = "a", receiver: str = "a", room: str = "r", dispatch: str = "") -> Job:
        offer = Offer(job_id=job_id, type=JobType.ROOM, room=RoomInfo(name=room), dispatch_id=dispatch)
        decision = Decision(answer=ACCEPT, agent=target, permissions=PERMISSIONS, rule="r", place=None, reason="")
        agents = self._agents
        return Job(offer, decision, registration=None, receiver=agents[receiver], target=agents[target])

    def take(self, job: Job, host: int | None = None, agent: int | None = None) -> bool:
        return self.registry.take(job, host_limit=host, agent_limit=agent)


@pytest.fixture
def book(two_agents: Plan) -> Book:
    return Book(two_agents)


def test_limit_of_the_host_holds_across_agents(book: Book) -> None:
    """Two agents share the host's slots."""
    assert book.take(book.job("1", target="a"), host=2)
    assert book.take(book.job("2", target="b"), host=2)
    assert not book.take(book.job("3", target="a"), host=2)


def test_limit_of_an_agent_counts_whose_code_runs(book: Book) -> None:
    """A job routed to another agent's code uses that agent's slots, not the receiver's."""
    assert book.take(book.job("1", target="b", receiver="a"), agent=1)
    assert not book.take(book.job("2", target="b", receiver="b"), agent=1)
    assert book.take(book.job("3", target="a", receiver="a"), agent=1)
    registry = book.registry
    assert (registry.slots_used, registry.slots_of("b"), registry.slots_for("a")) == (2, 1, 2)


def test_one_job_never_has_two_slots(book: Book) -> None:
    """The same offer twice takes one."""
    assert book.take(book.job("1"))
    assert not book.take(book.job("1"))


def test_room_and_dispatch_are_served_from_the_slot_on(book: Book) -> None:
    """unique_per_room and recovery see a job that is offered and has not started."""
    book.take(book.job("1", receiver="a", room="x", dispatch="AD_1"))
    assert book.registry.serves("a", "x")
    assert not book.registry.serves("b", "x")
    assert not book.registry.serves("a", "y")
    assert book.registry.serves_dispatch("AD_1")
    assert not book.registry.serves_dispatch("AD_2")


def test_asking_for_room_takes_none(book: Book) -> None:
    """Recovery asks before it has a dispatch offered again."""
    book.take(book.job("1"))
    assert book.registry.has_room("a", host_limit=2, agent_limit=2)
    assert not book.registry.has_room("a", host_limit=1, agent_limit=None)
    assert not book.registry.has_room("a", host_limit=None, agent_limit=1)
    assert book.registry.has_room("b", host_limit=None, agent_limit=1)
    assert book.registry.slots_used == 1


def test_what_follows_nothing_in_the_table_is_refused_and_changes_nothing(book: Book) -> None:
    """An offered job cannot run; one that has ended cannot end again, nor free a second slot."""
    job = book.job("1")
    book.take(job)
    with pytest.raises(RuntimeError, match="job 1 cannot go from offered to running"):
        book.registry.move(job, JobState.RUNNING)
    assert job.state is JobState.OFFERED
    book.registry.end(job, "rule")
    with pytest.raises(RuntimeError, match="from ended to ended"):
        book.registry.end(job, "rule")
    assert book.registry.slots_used == 0
    assert book.left == ["1"]


def test_listener_that_fails_is_counted_and_the_others_hear_of_it(book: Book) -> None:
    """An error in one part of the host takes no other with it."""

    def broken(job: Job) -> None:
        raise KeyError(job.id)

    late: list[str] = []
    book.registry.on_end(broken)
    book.registry.on_end(lambda job: late.append(job.id))
    job = book.job("1")
    book.take(job)
    book.registry.end(job, "rule")
    assert late == ["1"]
    assert book.metrics.internal_errors(InternalPart.JOB) == 1


async def test_drain_waits_for_an_accepted_job_and_ends_when_it_is_given_back(book: Book) -> None:
    """What the server believes to be ours counts, assigned or not; an offer that is not answered yet does not."""
    accepted, offered = book.job("1"), book.job("2")
    for job in (accepted, offered):
        book.take(job)
    book.registry.accept(accepted, ACCEPT)
    book.registry.drain()
    waiting = asyncio.create_task(book.registry.wait_ended())
    await asyncio.sleep(0)
    assert not waiting.done()
    book.registry.withdraw(accepted, "terminated by the server")
    await asyncio.wait_for(waiting, 5)
    ended = book.registry.ended("1")
    assert ended is not None
    assert (ended.ran, ended.why) == (False, "terminated by the server")


class Slots(RuleBasedStateMachine):
    """Offers, answers and ends of a few jobs, in any order and again and again, beside a plain list."""

    plan: Plan
    offered: Bundle[Job] = Bundle("offered")
    accepted: Bundle[Job] = Bundle("accepted")

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.book = Book(self.plan)
        self.here: list[Job] = []

    def teardown(self) -> None:
        for job in self.here:
            self.book.registry.end(job, "over")
        self.loop.close()

    @rule(
        target=offered,
        number=st.integers(0, 5),
        who=st.sampled_from("ab"),
        receiver=st.sampled_from("ab"),
        host=LIMITS,
        agent=LIMITS,
    )
    def offer(self, number: int, who: str, receiver: str, host: int | None, agent: int | None) -> object:
        job = self.book.job(str(number), target=who, receiver=receiver, room=f"room-{number % 2}")
        fits = (
            all(one.id != job.id for one in self.here)
            and (host is None or len(self.here) < host)
            and (agent is None or sum(one.target.id == who for one in self.here) < agent)
        )
        assert self.book.take(job, host=host, agent=agent) == fits
        if not fits:
            return multiple()
        self.here.append(job)
        return job

    @rule(target=accepted, job=consumes(offered))
    def accept(self, job: Job) -> Job:
        async def accept() -> None:
            self.book.registry.accept(job, ACCEPT)

        self.loop.run_until_complete(accept())
        return job

    @rule(job=consumes(offered))
    def reject(self, job: Job) -> None:
        self.book.registry.end(job, "full")
        self.here.remove(job)

    @rule(job=consumes(accepted))
    def give_back(self, job: Job) -> None:
        self.book.registry.withdraw(job, "not assigned in time")
        self.here.remove(job)

    @invariant()
    def slots_add_up(self) -> None:
        registry = self.book.registry
        assert registry.slots_used == len(self.here)
        for agent in "ab":
            assert registry.slots_of(agent) == sum(job.target.id == agent for job in self.here)
            assert registry.slots_for(agent) == sum(job.receiver.id == agent for job in self.here)
            for room in ("room-0", "room-1"):
                there = any((job.receiver.id, job.room) == (agent, room) for job in self.here)
                assert registry.serves(agent, room) == there
        assert set(registry.accepted()) == {job for job in self.here if job.state is JobState.ACCEPTED}


@pytest.fixture
def machine(two_agents: Plan) -> Iterator[type[Slots]]:
    Slots.plan = two_agents
    yield Slots


def test_slots_add_up_whatever_comes(machine: type[Slots]) -> None:
    """As the plain list says."""
    run_state_machine_as_test(machine, settings=settings(max_examples=50, deadline=None, derandomize=True))
