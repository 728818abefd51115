"""`JobRun`: what user code sees while a job runs, and what decides its outcome. Real processes, no room."""

import pytest
from livekit import api
from livekit.protocol.agent import Job, JobType
from livekit.protocol.models import ParticipantInfo

from agenthost.ipc.messages import Ended, LogLevels, Ready, Started, StopJob, Stopping
from tests.support.job_process import Fork, start_job

SECRET = "a-secret-that-nobody-may-see"


def _ended(fork: Fork, code: str, **start: object) -> Ended:
    process = fork(code)
    process.start(**start)
    return process.end()


# ── what decides the outcome ─────────────────────────────────────────────────────────────────────────────────


def test_exception_in_the_entrypoint_fails_the_job(fork: Fork) -> None:
    """Type and message for the wire; the user's traceback, without our frames, for the log."""
    ended = _ended(fork, "async def entrypoint(ctx):\n    raise ValueError('boom')")
    assert (ended.kind, ended.reason, ended.error) == ("failed", "entrypoint failed", "ValueError: boom")
    assert "raise ValueError('boom')" in ended.traceback
    assert "agenthost" not in ended.traceback


def test_shutdown_is_a_success_and_its_first_reason_counts(fork: Fork) -> None:
    """What happens after it does not change the outcome, but is logged."""
    process = fork(
        "async def entrypoint(ctx):\n    ctx.shutdown('done'); ctx.shutdown('again'); raise ValueError('late')"
    )
    process.start()
    assert process.end() == Ended(kind="succeeded", reason="done")
    line = process.line("the entrypoint failed while the job was ending")
    assert line.traceback.endswith("ValueError: late")


def test_stop_of_the_host_is_reported_with_its_reason(fork: Fork) -> None:
    """The entrypoint is cancelled when its grace is over."""
    process = fork("import asyncio\nasync def entrypoint(ctx): await asyncio.Event().wait()")
    process.start()
    process.receive(Started)
    process.stop("max duration")
    assert process.end() == Ended(kind="stopped", reason="max duration")


@pytest.mark.parametrize(
    ("raises", "kind", "error"),
    [
        ("sys.exit()", "succeeded", ""),
        ("sys.exit(3)", "failed", "SystemExit: 3"),
        ("raise KeyboardInterrupt", "failed", "KeyboardInterrupt"),
        ("raise asyncio.CancelledError", "failed", "CancelledError"),
        ("asyncio.current_task().cancel(); await asyncio.sleep(1)", "failed", "CancelledError"),
    ],
)
def test_whatever_the_entrypoint_raises_has_a_last_word(fork: Fork, raises: str, kind: str, error: str) -> None:
    """None of them may take the process down without Ended."""
    ended = _ended(fork, f"import asyncio, sys\nasync def entrypoint(ctx):\n    {raises}")
    assert (ended.kind, ended.error) == (kind, error)


@pytest.mark.parametrize("start", ["asyncio.create_task(leave())", "asyncio.get_running_loop().call_soon(sys.exit, 3)"])
def test_exit_in_a_task_or_callback_of_the_user_has_a_last_word(fork: Fork, start: str) -> None:
    """asyncio lets SystemExit out of the loop; the job ends as if the entrypoint had raised it."""
    code = f"""
        import asyncio, sys
        async def leave(): sys.exit(3)
        async def entrypoint(ctx):
            ctx.proc.userdata["task"] = {start}
            try:
                await asyncio.sleep(30)
            finally:
                print("cleaned up", flush=True)
    """
    process = fork(code)
    process.start()
    process.receive(Stopping)
    process.stop(grace_seconds=0.0)  # the natural grace is 15 s
    ended = process.end()
    assert (ended.kind, ended.error) == ("failed", "SystemExit: 3")
    assert process.output == "cleaned up\n"


def test_exit_while_ending_is_logged(fork: Fork) -> None:
    """It changes nothing any more."""
    code = """
        import asyncio, sys
        async def entrypoint(ctx):
            asyncio.get_running_loop().call_soon(sys.exit, 3)
            ctx.shutdown("done")
    """
    process = fork(code)
    process.start()
    assert process.end().reason == "done"
    assert process.line("user code tried to exit while the job was ending").fields["error"] == "SystemExit"


def test_plain_function_that_returns_an_awaitable_is_awaited(fork: Fork) -> None:
    """An entrypoint need not be an `async def` itself."""
    code = """
        async def serve(ctx): ctx.shutdown("served")
        def entrypoint(ctx): return serve(ctx)
    """
    assert _ended(fork, code).reason == "served"


def test_waiting_for_participants_without_connecting_is_warned_about(fork: Fork) -> None:
    """A job that returns without ever connecting is over; here it was surely not meant to be."""
    code = """
        async def greet(ctx, participant): ...
        async def entrypoint(ctx): ctx.add_participant_entrypoint(greet)
    """
    process = fork(code)
    process.start()
    assert process.end().reason == "entrypoint returned"
    assert (
        process.line("participant entrypoints were added, but the entrypoint returned without ctx.connect()").level
        == 30
    )


# ── what user code sees ──────────────────────────────────────────────────────────────────────────────────────


def test_context_has_the_facts_of_the_job(fork: Fork) -> None:
    """The server's own message, the worker, the attempt and the settings."""
    code = """
        async def entrypoint(ctx):
            facts = [ctx.job.id, ctx.job.metadata, ctx.room.name, ctx.worker_id, ctx.attempt, ctx.settings["voice"],
                     ctx.publisher, ctx.agent_missing if hasattr(ctx, "agent_missing") else None]
            ctx.shutdown(repr(facts))
    """
    ended = _ended(fork, code, job=Job(id="AJ_7", metadata="m"), settings={"voice": "alba"}, attempt=2)
    assert ended.reason == repr(["AJ_7", "m", "lobby", "AW_1", 2, "alba", None, None])


def test_publisher_is_the_participant_of_a_publisher_job(fork: Fork) -> None:
    """Room jobs have none."""
    job = Job(id="AJ_1", type=JobType.JT_PUBLISHER, participant=ParticipantInfo(identity="anna"))
    assert _ended(fork, "async def entrypoint(ctx): ctx.shutdown(ctx.publisher.identity)", job=job).reason == "anna"


def test_settings_are_read_only(fork: Fork) -> None:
    """One job cannot change what the file says, not even for itself."""
    ended = _ended(fork, "async def entrypoint(ctx): ctx.settings['voice'] = 'eve'", settings={"voice": "alba"})
    assert ended.error.startswith("TypeError: ")


def test_token_claims_are_those_of_the_jobs_token(fork: Fork) -> None:
    """Read without the secret, which the job has not got."""
    token = api.AccessToken("key", "x" * 32).with_identity("agent-7").with_grants(api.VideoGrants(room="lobby"))
    code = """
        async def entrypoint(ctx):
            claims = ctx.token_claims()
            ctx.shutdown(f"{claims.identity} {claims.video.room}")
    """
    assert _ended(fork, code, token=token.to_jwt()).reason == "agent-7 lobby"


def test_context_is_found_without_passing_it_on(fork: Fork) -> None:
    """In helpers, tasks and threads made with asyncio.to_thread; nowhere else."""
    code = """
        import asyncio, threading
        from agenthost import get_job_context
        assert get_job_context(required=False) is None
        def elsewhere(found): found.append(get_job_context(required=False))
        async def helper(): return get_job_context()
        async def entrypoint(ctx):
            found = [await helper(), await asyncio.create_task(helper()), await asyncio.to_thread(get_job_context)]
            thread = threading.Thread(target=elsewhere, args=[found])
            thread.start(); thread.join()
            ctx.shutdown(str([each is ctx for each in found]))
    """
    assert _ended(fork, code).reason == "[True, True, True, False]"


def test_secrets_are_in_no_representation(fork: Fork) -> None:
    """Printing the context, its parts or its dictionary shows no token and no metadata."""
    code = """
        async def entrypoint(ctx):
            print(ctx, repr(ctx), vars(ctx), ctx._parts, ctx._parts.info, flush=True)
    """
    process = fork(code)
    process.start(token=SECRET, api_token=SECRET, metadata=SECRET, settings={"key": SECRET})
    process.end()
    assert "AJ_1" in process.output
    assert SECRET not in process.output.replace(repr({"key": SECRET}), "")


def test_raw_pair_is_in_the_environment_only_where_the_file_says_so(fork: Fork) -> None:
    """`livekit.secret_in_jobs: true`: LiveKit's libraries find it where they look for it."""
    code = """
        import os
        names = ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")
        async def entrypoint(ctx): ctx.shutdown(str([os.environ.get(name) for name in names]))
    """
    assert _ended(fork, code, api_key="key", api_secret="s").reason == "['ws://127.0.0.1:9', 'key', 's']"
    assert "key" not in _ended(fork, code).reason


def test_log_context_fields_are_on_every_record_after_them(fork: Fork) -> None:
    """Changed in place or assigned anew, also for loggers of other libraries."""
    code = """
        import logging
        async def entrypoint(ctx):
            ctx.log_context_fields["tenant"] = "acme"
            logging.getLogger("some.library").warning("first")
            ctx.log_context_fields = {**ctx.log_context_fields, "call": 7}
            logging.getLogger("some.library").warning("second")
            ctx.log_context_fields = ctx.log_context_fields
            logging.getLogger("some.library").warning("third")
    """
    process = fork(code)
    process.start()
    process.end()
    assert process.line("first").fields == {"tenant": "acme"}
    assert process.line("second").fields == {"tenant": "acme", "call": 7}
    assert process.line("third").fields == {"tenant": "acme", "call": 7}


# ── what the host sees ───────────────────────────────────────────────────────────────────────────────────────


def test_log_levels_reach_a_running_job(fork: Fork) -> None:
    """A live change of the log level holds at once."""
    code = """
        import asyncio, logging
        async def entrypoint(ctx):
            while not logging.getLogger("app").isEnabledFor(logging.DEBUG):
                await asyncio.sleep(0.001)
            logging.getLogger("app").debug("a detail")
    """
    process = fork(code, log_level="INFO")
    process.start()
    process.receive(Started)
    process.send(LogLevels(level="DEBUG", levels={}))
    process.end()
    assert process.line("a detail").level == 10


def test_unexpected_message_harms_no_running_job(fork: Fork) -> None:
    """It is a defect of ours, told in the log."""
    process = fork("import asyncio\nasync def entrypoint(ctx): await asyncio.Event().wait()")
    process.receive(Ready)
    process.send(start_job(), start_job(), StopJob(reason="enough", grace_seconds=0.0))
    assert process.end().reason == "enough"
    assert process.line("a message that no running job expects").fields["kind"] == "StartJob"
