"""Starting jobs for nothing, so that the real one starts faster. `warm_up` runs in templates, `rehearse` in processes
that wait for their job.

A forked process shares its memory with the template until it writes to it, and each page written for the first time
is copied: most of the time from StartJob to the entrypoint is that. Two things make it less. The interpreter rewrites
code while it runs it the first times; done in the template, its forks find it done. And a process that has no job yet
copies in advance what it will need: an idle one all of it, one that was started for a job as much as there is time for
while the server answers.
"""

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from agenthost.child.agent_code import AgentCode
from agenthost.child.job_run import JobRun
from agenthost.context.job_context import JobContext
from agenthost.context.job_process import JobProcess
from agenthost.ipc.channel import BlockingChannel, frame
from agenthost.ipc.messages import CodeSpec, StartJob, decode, encode

WARM_UP_RUNS = 20  # CPython 3.11 has specialised a function after 8 calls and its instructions after some more


async def _entrypoint(_ctx: JobContext) -> None:
    """The job of a rehearsal: it returns without having connected."""


STAND_IN = AgentCode(spec=CodeSpec(entrypoint=""), entrypoint=_entrypoint)
_START = StartJob(
    job_id="",
    job=b"",
    url="",
    token="",
    api_token="",
    worker_id="",
    agent="",
    room="",
    identity="",
    name="",
    metadata="",
    attributes={},
    settings={},
    attempt=1,
    session_end_seconds=1.0,
    shutdown_seconds=1.0,
)
_ENCODED = encode(_START)


def warm_up() -> None:
    """Run jobs that do nothing, some milliseconds of them. For a template, before it freezes its heap.

    Leaves no thread, no loop and no descriptor behind.
    """
    for _ in range(WARM_UP_RUNS):
        host_end, job_end = socket.socketpair()
        with host_end, job_end:
            host_end.sendall(frame(_START))
            channel = BlockingChannel(job_end)
            start = channel.receive()
            assert isinstance(start, StartJob)
            _on_a_loop(_run(start, channel))


def rehearse(loop: asyncio.AbstractEventLoop, *, called: Callable[[], bool]) -> None:
    """Do what comes first when a job starts: read the message, make the job.

    `called` is asked before each step whether the real job is there: no step takes a millisecond. `loop` is the one
    that the real job will run on.
    """
    if called():
        return
    start = read_start()
    if not called():
        loop.run_until_complete(_make(start))


def read_start() -> StartJob:
    """The message of a rehearsal, as a job's is read."""
    start = decode(_ENCODED)
    assert isinstance(start, StartJob)
    return start


def _on_a_loop(coroutine: Coroutine[Any, Any, None]) -> None:
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(coroutine)
    finally:
        loop.close()


async def _run(start: StartJob, channel: BlockingChannel) -> None:
    await JobRun(start, STAND_IN, JobProcess()).run(channel)


async def _make(start: StartJob) -> None:
    JobRun(start, STAND_IN, JobProcess())
