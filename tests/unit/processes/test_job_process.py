"""The states of a job process as the host sees them; the process itself is played by the test."""

import asyncio
import gc
import os
import signal
import socket
import weakref
from collections.abc import AsyncIterator, Callable

import pytest

from agenthost.errors import ProcessFailed
from agenthost.ipc.channel import BlockingChannel
from agenthost.ipc.messages import Ended, Hello, InitFailed, Message, Ready, Reserved, Started, StopJob, Stopping
from agenthost.processes.child_process import InitFailure, TemplateGone
from agenthost.processes.ends import ProcessEnds
from agenthost.processes.home import ProcessHome
from agenthost.processes.job_process import JobProcess, JobProcessState
from tests.support.job_process import start_job
from tests.support.polling import poll
from tests.unit.processes.conftest import spawn


class Played:
    """`host` is what the host has; `say` is what the process says. Its pid is that of a child that sleeps."""

    def __init__(self, host: JobProcess, ends: ProcessEnds) -> None:
        self.host = host
        channel, *self._rest = (os.dup(end) for end in ends.theirs)
        self.channel = BlockingChannel(socket.socket(fileno=channel))

    async def say(self, message: Message, until: Callable[[], object]) -> None:
        self.channel.send(message)
        await poll(until, timeout=5, what=f"{message} has no effect")

    async def hear(self) -> Message:
        return await asyncio.get_running_loop().run_in_executor(None, self.channel.receive)

    def close(self) -> None:
        self.channel.socket.close()
        while self._rest:
            os.close(self._rest.pop())


@pytest.fixture
async def job(home: ProcessHome) -> AsyncIterator[Played]:
    """A process that was asked for and has not said Hello."""
    host = JobProcess(number=1, agent="support", home=home)
    ends = ProcessEnds.open()
    host.open(ends)
    played = Played(host, ends)
    ends.close_theirs()
    yield played
    if host.pid is not None:
        host.kill()
    played.close()
    await host.ended


async def born(job: Played) -> int:
    pid = spawn("sleep", "60", session=True)
    await job.say(Hello(pid=pid), lambda: job.host.started.done())
    return pid


async def idle(job: Played) -> int:
    pid = await born(job)
    await job.say(Ready(init_seconds=0.5), lambda: job.host.is_ready)
    return pid


async def test_hello_makes_it_exist_and_ready_makes_it_idle(job: Played) -> None:
    """The pid is known from its Hello on."""
    pid = await idle(job)
    assert (job.host.pid, await job.host.started, await job.host.ready) == (pid, pid, 0.5)
    assert job.host.state is JobProcessState.IDLE


async def test_reserved_before_it_was_ready_it_stays_reserved(job: Played) -> None:
    """A job that waits for it is not robbed of it; the process hears of it when it can listen."""
    job.host.reserve()
    await born(job)
    assert not job.channel.wait(0)
    await job.say(Ready(init_seconds=0.5), lambda: job.host.is_ready)
    assert job.host.state is JobProcessState.RESERVED
    assert await job.hear() == Reserved()


async def test_job_is_sent_and_its_start_is_noticed(job: Played) -> None:
    """RESERVED → RUNNING; what it says afterwards goes to who runs the job."""
    heard: list[Message] = []
    job.host.on_message = heard.append
    await idle(job)
    job.host.reserve()
    assert await job.hear() == Reserved()
    job.host.launch(start_job())
    assert await job.hear() == start_job()
    await job.say(Started(), lambda: job.host.running.done())
    await job.say(Stopping(phase="entrypoint", reason="returned"), lambda: heard)
    assert job.host.state is JobProcessState.STOPPING
    last = Ended(kind="succeeded", reason="returned")
    await job.say(last, lambda: job.host.last_words)
    assert heard == [Stopping(phase="entrypoint", reason="returned"), last]


async def test_process_that_died_while_it_waited_is_not_given_out(job: Played) -> None:
    """It is ending from the moment its death is known, although its output is still read."""
    pid = await idle(job)
    os.kill(pid, signal.SIGKILL)
    await poll(lambda: job.host.state is not JobProcessState.IDLE, timeout=5, what="its death is not noticed")
    assert job.host.died_idle
    with pytest.raises(RuntimeError, match="cannot go from"):
        job.host.reserve()


async def test_launching_a_process_that_died_since_fails(job: Played) -> None:
    """The job goes to another; the error is one that says so."""
    pid = await idle(job)
    job.host.reserve()
    os.kill(pid, signal.SIGKILL)
    await poll(lambda: job.host.is_ending, timeout=5, what="its death is not noticed")
    with pytest.raises(ProcessFailed, match="died before it was given its job"):
        job.host.launch(start_job())
    assert not job.host.died_idle


async def test_failure_of_user_code_reaches_ready_and_running(job: Played) -> None:
    """Whoever waits for either hears phase, error and place."""
    await born(job)
    failure = InitFailed(phase="prewarm", error="ValueError", message="ValueError: boom", file="a.py", line=2)
    await job.say(failure, lambda: job.host.ready.done())
    for future in (job.host.ready, job.host.running):
        with pytest.raises(InitFailure, match=r"prewarm failed: ValueError: ValueError: boom \(a.py:2\)"):
            await future


async def test_stop_asks_and_then_kills(job: Played) -> None:
    """One that does not heed StopJob is dead when its time is over, and the reason is kept."""
    await idle(job)
    job.host.reserve()
    job.host.launch(start_job())
    await job.hear()
    await job.hear()
    job.host.stop("drain", grace_seconds=0.01, budget_seconds=0.02, kill_after=0.03)
    assert await job.hear() == StopJob(reason="drain", grace_seconds=0.01, budget_seconds=0.02)
    job.close()
    assert str(await job.host.ended) == "signal SIGKILL"
    assert "of being asked to (drain)" in job.host.killed_because


async def test_later_deadline_does_not_put_off_an_earlier_one(job: Played) -> None:
    """And an earlier one comes forward."""
    await idle(job)
    job.host.kill_in(60.0, "late")
    job.host.kill_in(0.01, "early")
    job.host.kill_in(30.0, "later")
    job.close()
    await job.host.ended
    assert job.host.killed_because == "early"


async def test_template_that_dies_first_is_told_apart(job: Played) -> None:
    """All ends closed without a Hello: the next template will do."""
    job.close()
    with pytest.raises(TemplateGone):
        await job.host.started
    assert await job.host.ended is None
    assert job.host.state is JobProcessState.EXITED


async def test_process_that_was_never_asked_for_can_be_discarded(home: ProcessHome) -> None:
    """An offer that gave up while the template was imported: nobody waits for ever."""
    process = JobProcess(number=1, agent="support", home=home)
    process.discard()
    async with asyncio.timeout(1):
        assert await process.ended is None


async def test_process_that_died_in_its_prewarm_names_its_end(job: Played) -> None:
    """Not ready, and why."""
    pid = await born(job)
    os.kill(pid, signal.SIGSEGV)
    job.close()
    with pytest.raises(ProcessFailed, match="signal SIGSEGV"):
        await job.host.ready


async def test_process_discarded_before_it_is_opened_is_never_started(home: ProcessHome) -> None:
    """Its pool was closed while its template was made: nobody would ever end it."""
    process = JobProcess(number=1, agent="a", home=home)
    ends = ProcessEnds.open()
    process.discard()
    with pytest.raises(ProcessFailed, match="not needed"):
        process.open(ends)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(ends.theirs[0])


async def test_process_that_has_ended_is_freed_without_the_collector(home: ProcessHome) -> None:
    """Nothing of it refers back to it, the job that heard it included: a thousand jobs leave no garbage behind."""

    class Job:
        def __init__(self, process: JobProcess) -> None:
            self.process = process
            process.on_message = self.hear

        def hear(self, message: Message) -> None:
            """Only its being there matters."""

    async def run_one() -> "weakref.ref[JobProcess]":
        host = JobProcess(number=1, agent="support", home=home)
        ends = ProcessEnds.open()
        host.open(ends)
        played = Played(host, ends)
        ends.close_theirs()
        await idle(played)
        job = Job(host)
        played.close()
        job.process.kill()
        await host.ended
        return weakref.ref(host)

    gc.collect()
    gc.disable()
    try:
        freed = await run_one()
        await poll(lambda: freed() is None, timeout=5, what="something keeps the process")
    finally:
        gc.enable()
