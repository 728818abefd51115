"""The user's request and load functions in the form that our hook process calls them. Runs in hook processes."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from livekit.agents import JobRequest
from livekit.agents.job import JobAcceptArguments

from agenthost.context.calls import call, taken_by
from agenthost.context.job_request import JobRequest as OurRequest

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


def as_load(function: UserFunction) -> UserFunction:
    """A load function of ours that asks `function`, which takes nothing, or a server: here one with `active_jobs`.

    In a thread, as livekit-agents does: such functions often sleep while they measure.
    """

    async def load(active_jobs: int) -> Any:
        server = SimpleNamespace(active_jobs=[None] * active_jobs)
        return await asyncio.to_thread(function, *taken_by(function, server))

    return load
