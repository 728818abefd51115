"""A job process from its prewarm to its exit: `run_job_process`. Runs in forked (or spawned) job processes.

Importing this module brings everything that a job needs, so a template does it before it forks. While the process
is idle it blocks in one system call, outside of its event loop: it costs nothing and touches no memory.
"""

import asyncio
import inspect
import os
import time
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from agenthost.child.agent_code import AgentCode, UserFunction
from agenthost.child.exit_functions import run_exit_functions
from agenthost.child.framework import JobRunner, Run
from agenthost.child.job_run import JobRun
from agenthost.child.native_proxy import route_native_library
from agenthost.child.rehearsal import rehearse
from agenthost.child.user_errors import describe_failure
from agenthost.context.job_process import JobProcess
from agenthost.ipc.channel import BlockingChannel
from agenthost.ipc.messages import LogLevels, Ready, Reserved, StartJob, StopJob
from agenthost.logs import pipe_handler
from agenthost.logs.events import get_logger

log = get_logger("job")


def run_job_process(
    channel: BlockingChannel,
    code: AgentCode,
    userdata: dict[str, Any],
    *,
    began: float | None = None,
    report: Callable[[], Ready] = Ready,
) -> int:
    """Prewarm, wait for one job, run it; returns the exit code. The caller leaves the process with `os._exit`.

    `userdata` is what a shared prewarm left, else empty. `began` (time.monotonic(), default: now) is from when the
    time to get ready counts; `report` is what the host is told then. Sends InitFailed and returns 1 when prewarm
    raises.
    """
    began = time.monotonic() if began is None else began
    runner = _runner(code, userdata)
    try:
        code.filters.load()
        loop = runner.prewarm()
    except BaseException as error:  # SystemExit too: the host must hear why this process cannot serve
        channel.send(describe_failure("prewarm", error))
        return 1
    channel.send(replace(report(), init_seconds=time.monotonic() - began))
    loop = loop or asyncio.new_event_loop()
    runner.settle(loop, called=lambda: channel.wait(0))
    start = _wait_for_job(channel, lambda: runner.brace(loop, called=lambda: channel.wait(0)))
    if start is not None:
        run_exit_functions(channel, seconds=_run_job(start, runner, channel, loop))
    return 0


def _runner(code: AgentCode, userdata: dict[str, Any]) -> JobRunner:
    return OwnRunner(code, userdata) if code.framework is None else code.framework.runner(code, userdata)


class OwnRunner:
    """A `JobRunner` for code that takes agenthost's own context."""

    def __init__(self, code: AgentCode, userdata: dict[str, Any]) -> None:
        self._code = code
        self._process = JobProcess(userdata)

    def prewarm(self) -> asyncio.AbstractEventLoop | None:
        if self._code.prewarm is None or self._code.spec.prewarm_shared:
            return None
        return _prewarm(self._code.prewarm, self._process)

    def settle(self, loop: asyncio.AbstractEventLoop, *, called: Callable[[], bool]) -> None:
        rehearse(loop, called=called)

    def brace(self, loop: asyncio.AbstractEventLoop, *, called: Callable[[], bool]) -> None:
        """Nothing is left to do: taking over the channel and ending would save a third of a millisecond, for 0.5 MB."""

    def make_run(self, start: StartJob) -> JobRun:
        return JobRun(start, self._code, self._process)


def run_shared_prewarm(code: AgentCode, userdata: dict[str, Any]) -> None:
    """Call prewarm once in a template, for all processes that will be forked from it. Raises what it raises.

    An async prewarm has a loop of its own, which is gone afterwards with the tasks and threads that it left.
    """
    assert code.prewarm is not None
    result = code.prewarm(JobProcess(userdata))
    if inspect.isawaitable(result):
        with asyncio.Runner() as runner:
            runner.run(_awaited(result))


def _prewarm(prewarm: UserFunction, process: JobProcess) -> asyncio.AbstractEventLoop | None:
    """Returns the loop an async prewarm ran on: what it made may be bound to it, so the job must run there."""
    result = prewarm(process)
    if not inspect.isawaitable(result):
        return None
    loop = asyncio.new_event_loop()
    loop.run_until_complete(_awaited(result))
    return loop


async def _awaited(result: Any) -> None:
    await result


def _wait_for_job(channel: BlockingChannel, brace: Callable[[], None]) -> StartJob | None:
    """The job of this process; None when it is not needed any more, or the host is gone. `brace` before it comes."""
    while True:
        try:
            message = channel.receive()
        except EOFError:
            return None
        match message:
            case StartJob():
                return message
            case Reserved():
                brace()
            case StopJob():
                return None
            case LogLevels():
                pipe_handler.set_levels(message.level, message.levels)
            case _:
                log.error("a message that no idle process expects", kind=type(message).__name__)


def _run_job(start: StartJob, runner: JobRunner, channel: BlockingChannel, loop: asyncio.AbstractEventLoop) -> float:
    """Run the job on `loop`, which is never closed: threads of the user's and of livekit may still call into it.

    Returns how many seconds are left for the exit functions.
    """
    _export_credentials(start)
    route_native_library(start.url)
    asyncio.set_event_loop(loop)
    job = loop.run_until_complete(_make_run(start, runner))
    task = loop.create_task(job.run(channel), name="agenthost: job")
    while not task.done():
        try:
            loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as error:  # asyncio lets these out of any task or callback
            if task.done():
                raise
            job.interrupt(error)
    return task.result()


async def _make_run(start: StartJob, runner: JobRunner) -> Run:
    return runner.make_run(start)


def _export_credentials(start: StartJob) -> None:
    """Put the raw pair where LiveKit's libraries look for it; only under `livekit.secret_in_jobs` is there one."""
    if start.api_key and start.api_secret:
        os.environ["LIVEKIT_URL"] = start.url
        os.environ["LIVEKIT_API_KEY"] = start.api_key
        os.environ["LIVEKIT_API_SECRET"] = start.api_secret
