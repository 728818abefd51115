"""Request and load functions of livekit-agents, asked the way our hook process asks."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest
from livekit.agents import JobRequest
from livekit.protocol.agent import Job
from livekit.protocol.models import Room

from agenthost.context.job_request import Appearance, Rejection
from agenthost.context.job_request import JobRequest as OurRequest
from agenthost.jobs import ActiveJob
from agenthost.voice.hooks import UserFunction, as_handler, as_load

JOBS = {
    "AJ_1": ActiveJob(
        job=Job(id="AJ_1", room=Room(name="lobby")).SerializeToString(),
        identity="agent-7",
        name="Support",
        metadata="",
        attributes={},
    )
}


async def answer_of(function: UserFunction) -> Appearance | Rejection:
    """What `function` answers to an offer that the file would accept as `agent-7`, named Support."""
    answers: list[Appearance | Rejection] = []
    job = Job(id="AJ_1", room=Room(name="lobby"), agent_name="support")
    proposal = Appearance(identity="agent-7", name="Support", metadata="from the file", attributes={"tier": "gold"})
    await as_handler(function)(OurRequest(job=job, proposal=proposal, answer=answers.append))
    (answer,) = answers
    return answer


async def test_plain_accept_leaves_everything_to_the_file() -> None:
    """What their accept() makes up by itself is no wish of the user's."""

    async def request(req: JobRequest) -> None:
        await req.accept()

    expected = Appearance(identity="agent-7", name="Support", metadata="from the file", attributes={"tier": "gold"})
    assert await answer_of(request) == expected


async def test_accept_with_values_has_them() -> None:
    """Key by key."""

    async def request(req: JobRequest) -> None:
        assert (req.id, req.room.name, req.agent_name) == ("AJ_1", "lobby", "support")
        await req.accept(name="Ada", identity=f"ada-{req.id}", attributes={"mood": "good"})

    expected = Appearance(identity="ada-AJ_1", name="Ada", metadata="from the file", attributes={"mood": "good"})
    assert await answer_of(request) == expected


@pytest.mark.parametrize("terminate", [True, False])
async def test_reject_says_whether_others_may_take_it(terminate: bool) -> None:
    """As in livekit-agents, for good unless told otherwise."""

    async def request(req: JobRequest) -> None:
        await req.reject(terminate=terminate)

    assert await answer_of(request) == Rejection(terminate=terminate)


async def test_load_functions_see_the_active_jobs() -> None:
    """Theirs take nothing or a server, and look at the jobs; what else their server has is there, too."""
    assert await as_load(lambda: 0.25, None)(JOBS, "AW_1") == 0.25
    assert await as_load(lambda server: len(server.active_jobs) / 4, None)(JOBS, "AW_1") == 0.25

    def load(server: Any) -> str:
        (active,) = server.active_jobs
        assert active.worker_id == server.id == "AW_1"
        assert (active.accept_arguments.identity, active.token) == ("agent-7", "")
        return f"{active.job.id} {active.job.room.name} {server.own} {server.draining}"

    assert await as_load(load, SimpleNamespace(own="mine"))(JOBS, "AW_1") == "AJ_1 lobby mine False"


async def test_a_load_function_that_sleeps_holds_up_nobody() -> None:
    """It runs in a thread of its own, as in livekit-agents."""
    assert await as_load(lambda: threading.current_thread() is threading.main_thread(), None)({}, "") is False
