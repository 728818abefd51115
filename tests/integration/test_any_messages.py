"""Whatever a server says, in whatever order: the host lives, its slots add up, and every accepted job has one end.

A state machine writes messages on the socket of a real host: right ones, odd ones, repeated, reordered, contradictory.
At the end of an example everything is let go, and then the host's log, the server's notes, /worker, /metrics and the
list of processes must agree. `make chaos` looks longer.
"""

import contextlib
import time
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from livekit.protocol import agent

from agenthost.jobs import JobStatus
from agenthost.testing.values import OfferOutcome
from agenthost.testing.worker_socket import WorkerGone
from tests.support.effort import TIMEOUT_SECONDS, examples
from tests.support.polling import poll
from tests.support.server_messages import (
    Oddity,
    TokenKind,
    assignment,
    availability,
    make_job,
    make_token,
    messages_without_job,
    no_messages,
    termination,
)
from tests.support.standing_host import PROBE, StandingHost

CODE = """
import asyncio
import os
from pathlib import Path


async def entrypoint(ctx):
    match ctx.job.metadata:
        case "raise":
            raise RuntimeError("as asked")
        case "die":
            os._exit(7)
        case "" | "end":
            return
        case leave:
            while not Path(leave).exists():
                await asyncio.sleep(0.01)
"""
YAML = """
version: 1
agent_name: a
entrypoint: my_agent:entrypoint
num_idle_processes: 1
load: { max_jobs: 3 }
limits: { shutdown: 1s }
requests:
  rules:
    - { name: probe, when: { room.name: probe }, action: reject }
http: { listen: "127.0.0.1:0" }
"""
JOBS = 4
"""So many ids are talked about in an example: one more than there are slots."""

MOST_CUTS = 2
ANSWER_SECONDS = 5.0
END_SECONDS = 10.0

some_job = st.integers(0, JOBS - 1)
oddities = st.sampled_from([Oddity.NONE] * 4 + list(Oddity))
tokens = st.sampled_from([TokenKind.GOOD] * 4 + list(TokenKind))


class Act(Enum):
    OFFER = "offer"
    TAKE = "offer, and wait for the answer"
    ASSIGN = "assign"
    TERMINATE = "terminate"
    END = "let it end by itself"


acts = st.tuples(st.sampled_from(Act), oddities, tokens)


@dataclass(kw_only=True)
class Talk:
    """What was said about one job id.

    stays   its job will end when it is asked to, and no earlier
    open    it was accepted, and nothing said since may have changed that
    lives   it was assigned then, and nothing said since may have ended it
    """

    id: str
    metadata: str
    stays: bool
    offers: int = 0
    open: bool = False
    lives: bool = False
    is_forged: bool = False
    assignments: int = 0
    while_alive: int = 0
    terminations: int = 0

    @property
    def room(self) -> str:
        return f"room of {self.id}"


class Server(RuleBasedStateMachine):
    """Says what a server may say, and some of what it may not."""

    def __init__(self, standing: StandingHost) -> None:
        super().__init__()
        self._standing = standing
        self._server = standing.server
        self._cuts = 0
        self._wrong = ""
        standing.begin()
        self._worker = standing.worker
        self._connections = self._server.connections

    @initialize(
        hows=st.lists(st.sampled_from(["stay", "stay", "end", "raise", "die"]), min_size=JOBS, max_size=JOBS),
        terminates=st.sampled_from([True] * 5 + [False]),
        may_cut=st.sampled_from([False] * 7 + [True]),
    )
    def begin(self, hows: list[str], terminates: bool, may_cut: bool) -> None:
        """`terminates`: the server ends what is left, else it ends by itself. A host that was cut off waits long."""
        self._terminates = terminates
        self._may_cut = may_cut
        self._talks: list[Talk] = []
        for how in hows:
            number = next(self._standing.numbers)
            metadata = {"stay": f"leave-{number}", "end": "end"}.get(how, how)
            self._talks.append(Talk(id=f"AJ_{number}", metadata=metadata, stays=how == "stay"))

    # ── what it says ─────────────────────────────────────────────────────────────────────────────────────────

    @rule(job=some_job, said=st.lists(acts, min_size=1, max_size=6))
    def talk_about(self, job: int, said: list[tuple[Act, Oddity, TokenKind]]) -> None:
        """Anything about one job, in any order."""
        for act, odd, token in said:
            self._act(self._talks[job], act, odd, token)

    @rule(job=some_job, odd=oddities, said=st.lists(acts, min_size=1, max_size=4))
    def accept_and_talk_about(self, job: int, odd: Oddity, said: list[tuple[Act, Oddity, TokenKind]]) -> None:
        """Anything about a job that was accepted."""
        self.talk_about(job, [(Act.TAKE, odd, TokenKind.GOOD), *said])

    @rule(job=some_job, odd=oddities, said=st.lists(acts, max_size=4))
    def run_and_talk_about(self, job: int, odd: Oddity, said: list[tuple[Act, Oddity, TokenKind]]) -> None:
        """Anything about a job that was offered and assigned as it should be."""
        right = [(Act.TAKE, odd, TokenKind.GOOD), (Act.ASSIGN, odd, TokenKind.GOOD)]
        self.talk_about(job, [*right, *said])

    @rule(job=some_job, other=some_job)
    def assign_with_the_token_of_another(self, job: int, other: int) -> None:
        self._act(self._talks[job], Act.TAKE, Oddity.NONE, TokenKind.GOOD)
        self._assign(self._talks[job], Oddity.NONE, TokenKind.GOOD, of=self._talks[other])

    @rule(message=messages_without_job)
    def say(self, message: bytes) -> None:
        self._say(message)

    @rule(messages=no_messages)
    def say_nonsense(self, messages: bytes) -> None:
        """The host does not hang up for it."""
        self._say(messages)

    @precondition(lambda self: self._may_cut and self._cuts < MOST_CUTS)
    @rule()
    def cut(self) -> None:
        self._server.cut()
        self._wait_reconnected()

    @rule()
    def listen(self) -> None:
        """Until the host has taken in all of it; then what it says of itself must be true."""
        self._do(self._listen())

    # ── what must hold ───────────────────────────────────────────────────────────────────────────────────────

    def teardown(self) -> None:
        if hasattr(self, "_talks"):
            self._do(self._finish())
        if self._cuts:
            self._standing.spoil()
        if self._wrong:
            raise AssertionError(self._wrong)

    def _do(self, work: Coroutine[Any, Any, object]) -> None:
        """What goes wrong is told at the end, always from there: when a host fails is not the same each time.

        hypothesis wants the same steps for the same choices, and takes failures of two places for two.
        """
        if self._wrong:
            work.close()
            return
        try:
            self._standing.run(work)
        except (AssertionError, TimeoutError, OSError, WorkerGone) as error:
            said = "" if self._standing.said() in str(error) else f"\n{self._standing.said()}"
            self._wrong = f"{type(error).__name__}: {error}{said}"

    async def _finish(self) -> None:
        await self._listen()
        for talk in self._talks:
            talk.open = False
            self._leave(talk)
            if self._terminates:
                talk.terminations += 1
                await self._worker.send_raw(termination(talk.id))
        await poll(lambda: not self._held(), timeout=END_SECONDS)
        assert not self._held(), f"accepted and never ended: {self._held()}\n{self._standing.said()}"
        await self._listen()
        for talk in self._talks:
            await self._check_ends(talk)
        await self._standing.check_well()
        await self._server.wait_report("a", lambda report: report.available and report.job_count == 0)
        result = await self._server.offer("afterwards", agent_name="a")
        assert result.outcome is OfferOutcome.ASSIGNED, f"{result}\n{self._standing.said()}"
        await self._server.wait_status(result.job_id, JobStatus.SUCCESS)
        await self._standing.host.wait_event("job ended", job_id=result.job_id)

    async def _listen(self) -> None:
        """A host reads in order: once it answers the last offer it has read everything. All offers are answered."""
        probe = f"AJ_probe_{next(self._standing.numbers)}"
        await self._worker.send_raw(availability(make_job(probe, room=PROBE)))
        await self._wait_answer(probe, 1)
        if not self._cuts:
            for talk in self._talks:
                await self._wait_answer(talk.id, talk.offers)
            assert self._server.connections == self._connections, "the host hung up on messages that can be read"
        for talk in self._talks:
            if talk.lives and not self._count("job not assigned", talk):
                await self._wait_status(talk, JobStatus.RUNNING)
                assert not self._terminals(talk), f"{talk} lives: {self._server.statuses(talk.id)}"
        await self._check_slots()

    async def _check_slots(self) -> None:
        """Held are the jobs that were accepted and have not ended; others may end while we look."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while True:
            before = len(self._held())
            with contextlib.suppress(AssertionError):
                return await self._standing.wait_slots(before, seconds=0.5)
            if time.monotonic() > deadline:
                return await self._standing.wait_slots(len(self._held()))

    async def _check_ends(self, talk: Talk) -> None:
        """In the log one end for each acceptance; on the wire one for each job that was assigned."""
        ended, given_back = self._count("job ended", talk), self._count("job not assigned", talk)
        about = f"{talk}\n{self._server.statuses(talk.id)}\n{self._standing.said()}"
        assert ended + given_back == self._count("job accepted", talk), about
        least = ended or (talk.assignments > 0 and not talk.terminations)
        if not self._cuts:
            await poll(lambda: len(self._terminals(talk)) >= least, timeout=ANSWER_SECONDS)
            assert len(self._terminals(talk)) >= least, f"an end was not told: {about}"
        most = ended + max(0, talk.assignments - ended - talk.while_alive)
        assert len(self._terminals(talk)) <= most, f"an end was told that was none: {about}"
        running = len(self._server.statuses(talk.id)) - len(self._terminals(talk))
        assert running <= self._count("job started", talk), about
        assert not (talk.is_forged and running and talk.assignments == 1), f"a forged token was signed: {about}"

    # ── about one job ────────────────────────────────────────────────────────────────────────────────────────

    def _act(self, talk: Talk, act: Act, odd: Oddity, token: TokenKind) -> None:
        match act:
            case Act.OFFER:
                self._offer(talk, odd)
            case Act.TAKE:
                already = len(self._server.answers(talk.id))
                self._offer(talk, odd)
                self._do(self._wait_answer(talk.id, already + 1))
                talk.open = any(answer.available for answer in self._server.answers(talk.id)[already:])
            case Act.ASSIGN:
                self._assign(talk, odd, token, of=talk)
            case Act.TERMINATE:
                talk.open = False
                talk.terminations += 1
                self._leave(talk)  # its entrypoint would be waited for
                self._say(termination(talk.id))
            case Act.END:
                self._leave(talk)

    def _offer(self, talk: Talk, odd: Oddity) -> None:
        talk.offers += 1
        self._say(availability(self._job(talk, odd)))

    def _assign(self, talk: Talk, odd: Oddity, token: TokenKind, *, of: Talk) -> None:
        talk.assignments += 1
        talk.while_alive += talk.lives
        talk.is_forged = talk.is_forged or (talk.open and token is TokenKind.FOREIGN)
        talk.lives = talk.lives or (talk.open and token is TokenKind.GOOD and of is talk and talk.stays)
        talk.open = False
        self._say(assignment(self._job(talk, odd), make_token(self._server, of.id, of.room, token)))

    # ── means ────────────────────────────────────────────────────────────────────────────────────────────────

    def _job(self, talk: Talk, odd: Oddity) -> agent.Job:
        return make_job(talk.id, room=talk.room, metadata=talk.metadata, agent_name="a", odd=odd)

    def _say(self, message: bytes) -> None:
        self._do(self._worker.send_raw(message))

    def _leave(self, talk: Talk) -> None:
        talk.lives = talk.stays = False
        (self._standing.folder / talk.metadata).touch()

    def _wait_reconnected(self) -> None:
        """What was accepted and not assigned is lost with the socket."""
        self._cuts += 1
        for talk in self._talks:
            talk.open = False
        self._do(self._take_next_worker())

    async def _take_next_worker(self) -> None:
        await self._server.wait_gone(self._worker)
        self._worker = await self._server.wait_registered("a")

    async def _wait_answer(self, job_id: str, count: int) -> tuple[agent.AvailabilityResponse, ...]:
        try:
            return await self._server.wait_answers(job_id, count=count, timeout=ANSWER_SECONDS)
        except TimeoutError as error:
            raise AssertionError(f"{error}\n{self._standing.said()}") from None

    async def _wait_status(self, talk: Talk, status: JobStatus) -> None:
        try:
            await self._server.wait_status(talk.id, status, timeout=ANSWER_SECONDS)
        except TimeoutError as error:
            raise AssertionError(f"{error}; {talk}\n{self._standing.said()}") from None

    def _terminals(self, talk: Talk) -> list[JobStatus]:
        statuses = (update.status for update in self._server.statuses(talk.id))
        return [status for status in statuses if status is not JobStatus.RUNNING]

    def _count(self, message: str, talk: Talk) -> int:
        return len(self._standing.lines(message, job_id=talk.id))

    def _held(self) -> list[str]:
        def holds(talk: Talk) -> bool:
            ended = self._count("job ended", talk) + self._count("job not assigned", talk)
            return self._count("job accepted", talk) > ended

        return [talk.id for talk in self._talks if holds(talk)]


@pytest.fixture
def standing(tmp_path: Path) -> Iterator[StandingHost]:
    with StandingHost(tmp_path, CODE, YAML, processes=3) as standing:
        yield standing


@pytest.mark.slow(20)
@pytest.mark.timeout(TIMEOUT_SECONDS)
def test_any_messages_in_any_order_leave_the_host_as_it_was(standing: StandingHost) -> None:
    """It lives, slots add up, no process is left, and every accepted job has exactly one end."""
    settings = examples(30, long=1500, steps=10)
    run_state_machine_as_test(lambda: Server(standing), settings=settings)  # type: ignore[no-untyped-call]
