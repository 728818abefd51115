"""`run_job_process`: from prewarm to the exit code, in real processes."""

import asyncio
import threading

from agenthost.child.agent_code import AgentCode
from agenthost.child.job_main import run_shared_prewarm
from agenthost.context.job_process import JobProcess
from agenthost.ipc.messages import (
    ApiToken,
    CodeSpec,
    Ended,
    InitFailed,
    LogLevels,
    Ready,
    Started,
    StopJob,
    Stopping,
)
from tests.support.job_process import Fork, start_job

RETURNS = "async def entrypoint(ctx): pass"


def test_job_that_returns_without_connecting_succeeds(fork: Fork) -> None:
    """The messages of the shortest job, in their order."""
    process = fork(RETURNS)
    process.start()
    reason = "entrypoint returned"
    expected = [
        Started(),
        Stopping(phase="entrypoint", reason=reason),
        Stopping(phase="session_end", reason=reason),
        Stopping(phase="callbacks", reason=reason),
        Ended(kind="succeeded", reason=reason),
    ]
    assert process.rest() == expected
    assert process.exit_code == 0


def test_prewarm_runs_before_ready_and_its_userdata_reaches_the_job(fork: Fork) -> None:
    """What prewarm leaves in proc.userdata, the entrypoint finds in ctx.proc.userdata."""
    code = """
        def prewarm(proc): proc.userdata["model"] = f"loaded in {proc.pid}"
        async def entrypoint(ctx): ctx.shutdown(ctx.proc.userdata["model"])
    """
    process = fork(code, prewarm="agent:prewarm")
    process.start()
    assert process.end().reason == f"loaded in {process.pid}"


def test_async_prewarm_shares_the_loop_with_the_job(fork: Fork) -> None:
    """What an async prewarm makes may be bound to its loop, so the job runs on the same one."""
    code = """
        import asyncio
        async def prewarm(proc): proc.userdata["loop"] = asyncio.get_running_loop()
        async def entrypoint(ctx):
            ctx.shutdown(str(ctx.proc.userdata["loop"] is asyncio.get_running_loop()))
    """
    process = fork(code, prewarm="agent:prewarm")
    process.start()
    assert process.end().reason == "True"


def test_shared_prewarm_is_not_called_again(fork: Fork) -> None:
    """With `shared: true` the template has called it already."""
    code = "def prewarm(proc): raise AssertionError('called')\n" + RETURNS
    process = fork(code, prewarm="agent:prewarm", prewarm_shared=True)
    process.start()
    assert process.end().kind == "succeeded"


def test_shared_prewarm_leaves_neither_loop_nor_thread_nor_task() -> None:
    """The template forks afterwards, so an async prewarm is cleaned up behind."""
    seen: dict[str, object] = {}

    async def prewarm(proc: JobProcess) -> None:
        proc.userdata["model"] = await asyncio.to_thread(lambda: "loaded")
        seen["loop"] = asyncio.get_running_loop()
        seen["task"] = asyncio.create_task(asyncio.Event().wait())

    spec = CodeSpec(entrypoint="")
    before = threading.active_count()
    userdata: dict[str, object] = {}
    run_shared_prewarm(AgentCode(spec=spec, entrypoint=prewarm, prewarm=prewarm), userdata)
    assert userdata == {"model": "loaded"}
    assert threading.active_count() == before
    assert isinstance(seen["loop"], asyncio.AbstractEventLoop)
    assert seen["loop"].is_closed()
    assert isinstance(seen["task"], asyncio.Task)
    assert seen["task"].cancelled()


def test_prewarm_that_raises_is_told_with_its_line(fork: Fork) -> None:
    """InitFailed names phase, exception, the user's file and line; the traceback has no frame of ours."""
    code = "import json\ndef prewarm(proc):\n    json.loads('{')\n" + RETURNS
    process = fork(code, prewarm="agent:prewarm")
    [failure] = process.rest()
    assert isinstance(failure, InitFailed)
    assert (failure.phase, failure.error) == ("prewarm", "JSONDecodeError")
    assert failure.message.startswith("JSONDecodeError: Expecting property name")
    assert failure.file.endswith(".py") and "agent_" in failure.file
    assert failure.line == 3
    assert "job_main.py" not in failure.traceback
    assert process.exit_code == 1


def test_prewarm_that_exits_is_a_failure_with_a_message(fork: Fork) -> None:
    """sys.exit() in prewarm must not end the process silently."""
    process = fork("import sys\nasync def prewarm(proc): sys.exit('no key')\n" + RETURNS, prewarm="agent:prewarm")
    [failure] = process.rest()
    assert isinstance(failure, InitFailed)
    assert failure.message == "SystemExit: no key"


def test_host_that_goes_away_ends_an_idle_process(fork: Fork) -> None:
    """The end of the channel is the end of the process."""
    process = fork(RETURNS)
    process.receive(Ready)
    process.hang_up()
    assert process.wait() == 0


def test_host_that_goes_away_ends_a_running_job_at_once(fork: Fork) -> None:
    """Nobody is left to end the job for: no grace, no callbacks."""
    code = """
        import asyncio
        async def entrypoint(ctx):
            ctx.add_shutdown_callback(lambda: print("called back"))
            await asyncio.Event().wait()
    """
    process = fork(code)
    process.start()
    process.receive(Started)
    process.hang_up()
    assert process.wait() == 1
    assert process.output == ""


def test_stop_before_a_job_ends_an_idle_process(fork: Fork) -> None:
    """An idle process that is not needed any more leaves without a word."""
    process = fork(RETURNS)
    process.receive(Ready)
    process.stop()
    assert process.rest() == []
    assert process.exit_code == 0


def test_stop_in_the_same_breath_as_start_prevents_the_entrypoint(fork: Fork) -> None:
    """Bytes that were read before there was a loop are not lost, and a job that was stopped does not start."""
    process = fork("async def entrypoint(ctx): print('called', flush=True)")
    process.receive(Ready)
    process.send(start_job(), StopJob(reason="room closed", grace_seconds=1.0))
    assert process.rest() == [Ended(kind="stopped", reason="room closed")]
    assert process.output == ""


def test_log_levels_reach_an_idle_process(fork: Fork) -> None:
    """A live change of the log level holds for processes that wait, too."""
    code = """
        import logging
        async def entrypoint(ctx): logging.getLogger("app").debug("a detail")
    """
    process = fork(code, log_level="INFO")
    process.receive(Ready)
    process.send(LogLevels(level="DEBUG", levels={}), start_job())
    process.end()
    assert process.line("a detail").logger == "app"


def test_unexpected_message_is_logged_and_passed_over(fork: Fork) -> None:
    """A message that cannot be meant for an idle process is our defect; the process still serves."""
    process = fork(RETURNS)
    process.receive(Ready)
    process.send(ApiToken(token="secret"), start_job())
    assert process.end().kind == "succeeded"
    assert process.line("a message that no idle process expects").fields["kind"] == "ApiToken"
