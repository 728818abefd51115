"""The phases of a job's end, in real processes."""

import time

import pytest

from agenthost.ipc.messages import Ended, Started, Stopping
from tests.support.job_process import Fork, JobProcess

HANGS = "import asyncio\nasync def entrypoint(ctx): await asyncio.Event().wait()\n"


def _run(fork: Fork, code: str, *, session_end: bool = False, **start: object) -> JobProcess:
    process = fork(code, **({"session_end": "agent:session_end"} if session_end else {}))
    process.start(**start)
    return process


def test_phases_come_in_their_order(fork: Fork) -> None:
    """Entrypoint cancelled and cleaned up, session_end, then the callbacks with the reason."""
    code = """
        import asyncio
        async def entrypoint(ctx):
            async def with_reason(reason): print("callback", reason, flush=True)
            ctx.add_shutdown_callback(with_reason)
            ctx.add_shutdown_callback(lambda: print("plain callback", flush=True))
            try:
                await asyncio.Event().wait()
            finally:
                print("cleaned up", flush=True)
        async def session_end(ctx): print("session end", ctx.job.id, flush=True)
    """
    process = _run(fork, code, session_end=True)
    process.receive(Started)
    process.stop("drain deadline")
    phases = [message.phase for message in process.rest() if isinstance(message, Stopping)]
    assert phases == ["entrypoint", "session_end", "callbacks"]
    assert process.output.splitlines() == [
        "cleaned up",
        "session end AJ_1",
        "callback drain deadline",
        "plain callback",
    ]


def test_entrypoint_is_given_its_grace(fork: Fork) -> None:
    """A job that is asked to stop may finish what it does."""
    code = """
        import asyncio
        async def entrypoint(ctx):
            await asyncio.sleep(0.02)
            print("finished", flush=True)
    """
    process = _run(fork, code)
    process.receive(Started)
    process.stop(grace_seconds=30.0)
    assert process.end().kind == "stopped"
    assert process.output == "finished\n"


def test_entrypoint_that_outlasts_its_grace_is_named(fork: Fork) -> None:
    """And cancelled."""
    process = _run(fork, HANGS)
    process.receive(Started)
    process.stop(grace_seconds=0.01)
    process.end()
    line = process.line("did not end within its grace and is cancelled")
    assert str(line.fields["task"]).endswith(".entrypoint")


@pytest.mark.quiet
def test_entrypoint_that_ignores_being_cancelled_cannot_hold_the_end(fork: Fork) -> None:
    """It is given up, named, and ends with the process; the callbacks still get their turn."""
    code = """
        import asyncio
        async def entrypoint(ctx):
            ctx.add_shutdown_callback(lambda: print("called back", flush=True))
            while True:
                try:
                    await asyncio.sleep(30)
                except asyncio.CancelledError:
                    pass
    """
    process = _run(fork, code)
    process.receive(Started)
    began = time.monotonic()
    process.stop(budget_seconds=0.2)
    assert process.end().kind == "stopped"
    assert time.monotonic() - began < 0.5
    assert process.output == "called back\n"
    assert [line.message for line in process.lines].count(
        "goes on although it was cancelled; it ends with the process"
    ) == 2  # once after its grace, once with all that remains


@pytest.mark.quiet
def test_everything_that_hangs_ends_within_the_budget(fork: Fork) -> None:
    """Each phase has its share: a callback that needs a moment gets it, and the last word comes in time."""
    code = """
        import asyncio
        async def hang(*_):
            await asyncio.Event().wait()
        async def save():
            await asyncio.sleep(0.02)
            print("saved", flush=True)
        async def entrypoint(ctx):
            ctx.proc.userdata["stray"] = asyncio.create_task(hang())
            ctx.add_shutdown_callback(save)
            ctx.add_shutdown_callback(hang)
            await hang()
        session_end = hang
    """
    process = _run(fork, code, session_end=True)
    process.receive(Started)
    began = time.monotonic()
    process.stop("second signal", grace_seconds=15.0, budget_seconds=0.4)
    assert process.end() == Ended(kind="stopped", reason="second signal")
    assert 0.2 < time.monotonic() - began < 0.4
    assert process.output == "saved\n"


@pytest.mark.quiet
def test_second_stop_with_less_time_shortens_the_first(fork: Fork) -> None:
    """The grace of a drain becomes the budget of a second signal."""
    process = _run(fork, HANGS)
    process.receive(Started)
    process.stop("drain deadline", grace_seconds=30.0, budget_seconds=60.0)
    process.receive(Stopping)
    began = time.monotonic()
    process.stop("second signal", grace_seconds=15.0, budget_seconds=0.1)
    assert process.end().reason == "drain deadline"
    assert time.monotonic() - began < 0.3


def test_natural_end_is_shortened_by_a_stop_as_well(fork: Fork) -> None:
    """A job that called shutdown and does not return is stopped by the host; the outcome stays its own."""
    code = """
        import asyncio
        async def entrypoint(ctx):
            ctx.shutdown("done")
            await asyncio.Event().wait()
    """
    process = _run(fork, code)
    process.receive(Stopping)
    process.stop("terminated", grace_seconds=0.0)
    assert process.end() == Ended(kind="succeeded", reason="done")


def test_callbacks_run_at_the_same_time_and_an_error_holds_up_none(fork: Fork) -> None:
    """The failure is logged with its traceback and the name of the callback."""
    code = """
        import asyncio
        met = asyncio.Event()
        async def waits(): await met.wait(); print("met", flush=True)
        async def fails(): raise ValueError("no disk")
        async def meets(): met.set()
        async def entrypoint(ctx):
            for callback in (waits, fails, meets): ctx.add_shutdown_callback(callback)
    """
    process = _run(fork, code)
    assert process.end().kind == "succeeded"
    assert process.output == "met\n"
    line = process.line("failed while the job was ending")
    assert str(line.fields["function"]).endswith(".fails#2")
    assert line.traceback.endswith("ValueError: no disk")


def test_callback_that_overruns_is_named_and_cancelled(fork: Fork) -> None:
    """All callbacks have `limits.shutdown` together."""
    code = """
        import asyncio
        async def slow():
            try:
                await asyncio.sleep(30)
            finally:
                print("cancelled", flush=True)
        async def entrypoint(ctx): ctx.add_shutdown_callback(slow)
    """
    process = _run(fork, code, shutdown_seconds=0.02)
    assert process.end().kind == "succeeded"
    line = process.line("took too long and is cancelled")
    assert str(line.fields["function"]).endswith(".slow#1")
    assert line.fields["limit_seconds"] == 0.02
    assert process.output == "cancelled\n"


def test_callback_that_exits_has_no_power_over_the_end(fork: Fork) -> None:
    """SystemExit in a callback is an error of that callback."""
    code = """
        import sys
        async def entrypoint(ctx):
            ctx.add_shutdown_callback(lambda: sys.exit(3))
            ctx.add_shutdown_callback(lambda: print("called", flush=True))
    """
    process = _run(fork, code)
    assert process.end() == Ended(kind="succeeded", reason="entrypoint returned")
    assert process.output == "called\n"


def test_callback_that_needs_more_than_the_reason_is_refused(fork: Fork) -> None:
    """When it is added, not when the call is over."""
    code = """
        async def save(reason, path): ...
        async def entrypoint(ctx): ctx.add_shutdown_callback(save)
    """
    ended = _run(fork, code).end()
    assert ended.error.startswith("TypeError: the shutdown callback ")
    assert ended.error.endswith(".save must take nothing, or the reason alone")


def test_session_end_follows_a_failure_too(fork: Fork) -> None:
    """It is where a user saves what the session gathered; its own error is logged and changes nothing."""
    code = """
        def session_end(ctx): raise KeyError("database")
        async def entrypoint(ctx): raise ValueError("boom")
    """
    process = _run(fork, code, session_end=True)
    assert process.end().error == "ValueError: boom"
    line = process.line("failed while the job was ending")
    assert line.fields["phase"] == "session_end"
    assert line.traceback.endswith("KeyError: 'database'")


def test_session_end_that_overruns_is_named(fork: Fork) -> None:
    """It has a limit of its own, `limits.session_end`."""
    code = """
        import asyncio
        async def session_end(ctx): await asyncio.sleep(30)
        async def entrypoint(ctx): ...
    """
    process = _run(fork, code, session_end=True, session_end_seconds=0.02)
    assert process.end().kind == "succeeded"
    line = process.line("took too long and is cancelled")
    assert (line.fields["phase"], line.fields["limit_seconds"]) == ("session_end", 0.02)


def test_tasks_of_the_user_may_clean_up(fork: Fork) -> None:
    """What still runs when all is over is cancelled, and its `finally` is carried out."""
    code = """
        import asyncio
        async def background():
            try:
                await asyncio.Event().wait()
            finally:
                print("cleaned up", flush=True)
        async def entrypoint(ctx):
            ctx.proc.userdata["task"] = asyncio.create_task(background())
            await asyncio.sleep(0)
    """
    process = _run(fork, code)
    assert process.end().kind == "succeeded"
    assert process.output == "cleaned up\n"


def test_thread_of_the_user_does_not_hold_the_end(fork: Fork) -> None:
    """The process leaves by _exit: no join of executors and threads."""
    code = """
        import asyncio, threading, time
        async def entrypoint(ctx):
            threading.Thread(target=time.sleep, args=[30]).start()
            asyncio.get_running_loop().run_in_executor(None, time.sleep, 30)
    """
    process = _run(fork, code)
    began = time.monotonic()
    assert process.end().kind == "succeeded"
    assert process.exit_code == 0
    assert time.monotonic() - began < 5


def test_durations_of_the_phases_are_logged(fork: Fork) -> None:
    """At DEBUG, so that a slow end can be explained."""
    process = _run(fork, "async def entrypoint(ctx): ...")
    process.end()
    lines = [line for line in process.lines if line.message == "a phase of the end is over"]
    assert [line.fields["phase"] for line in lines] == ["entrypoint", "session_end", "callbacks"]
    assert all(isinstance(line.fields["seconds"], float) for line in lines)
