"""The user's request and load functions in the form that our hook process calls them. Runs in hook processes."""

import asyncio
import os
from collections.abc import Callable, Mapping
from typing import Any

from livekit.agents import JobRequest
from livekit.agents.job import JobAcceptArguments, RunningJobInfo
from livekit.protocol.agent import Job

from agenthost.child.agent_code import ServerLoad
from agenthost.context.calls import call, taken_by
from agenthost.context.job_request import JobRequest as OurRequest
from agenthost.jobs import ActiveJob

UserFunction = Callable[..., Any]


def as_handler(function: UserFunction) -> UserFunction:
    """A handler of ours that asks `function`, which takes livekit-agents' JobRequest."""

    async def handle(request: OurRequest) -> None:
        async def accept(arguments: JobAcceptArguments) -> None:
            # Their accept() fills in what it was not given; the rules and the file shall decide that.
            default = arguments.identity == f"agent-{request.id}"
            await request.accept(
                name=arguments.name or None,
                identity=None if default else arguments.identity,
                metadata=arguments.metadata or None,
                attributes=arguments.attributes,
            )

        async def reject(terminate: bool = True) -> None:
            await request.reject(terminate=terminate)

        await call(function, JobRequest(job=request.job, on_reject=reject, on_accept=accept))

    return handle


def as_load(function: UserFunction, server: object | None) -> ServerLoad:
    """What asks `function`, which takes nothing, or a server; `server` is the user's own, where there is one.

    In a thread, as livekit-agents does: such functions often sleep while they measure.
    """

    async def load(jobs: Mapping[str, ActiveJob], worker_id: str) -> Any:
        shown = _ServerAtWork(jobs, worker_id, server)
        return await asyncio.to_thread(function, *taken_by(function, shown))

    return load


class _ServerAtWork:
    """An AgentServer as their load functions know it, at work; what is not said here the user's own one has."""

    def __init__(self, jobs: Mapping[str, ActiveJob], worker_id: str, server: object | None) -> None:
        self.id = worker_id or "unregistered"
        self.draining = False  # nobody is offered anything then
        self._jobs = jobs
        self._server = server

    def __getattr__(self, name: str) -> Any:
        return getattr(self._server, name)

    @property
    def active_jobs(self) -> list[RunningJobInfo]:
        return [_info(job, self.id) for job in self._jobs.values()]


def _info(job: ActiveJob, worker_id: str) -> RunningJobInfo:
    arguments = JobAcceptArguments(
        name=job.name, identity=job.identity, metadata=job.metadata, attributes=dict(job.attributes)
    )
    return RunningJobInfo(
        accept_arguments=arguments,
        job=Job.FromString(job.job),
        url=os.environ.get("LIVEKIT_URL", ""),
        token="",  # its participant's, and nobody else's
        worker_id=worker_id,
        fake_job=False,
    )
