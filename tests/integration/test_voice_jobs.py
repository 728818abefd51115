"""Jobs of livekit-agents code in real processes, without a room: what they end by, in which order, and in what time."""

import importlib.util
import inspect
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from livekit.protocol.agent import Job
from livekit.protocol.models import Room

from agenthost.ipc.messages import InitFailed, Ready, Started, Stopping
from tests.support.job_process import Fork, JobTemplate
from tests.support.voice_jobs import voice_fork, voice_template

agents = pytest.importorskip("livekit.agents")


@pytest.fixture(scope="module")
def template() -> Iterator[JobTemplate]:
    with voice_template() as made:
        yield made


@pytest.fixture
def fork(template: JobTemplate, tmp_path: Path) -> Iterator[Fork]:
    with voice_fork(template, tmp_path) as start:
        yield start


HANGS = """
@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    await asyncio.Event().wait()
"""


def test_shutdown_is_a_success_with_its_reason(fork: Fork) -> None:
    """The user's own way to end a job."""
    process = fork(
        """
@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    ctx.shutdown("all said")
    ctx.shutdown("said again")
"""
    )
    process.start()
    ended = process.end()
    assert (ended.kind, ended.reason, ended.error) == ("succeeded", "all said", "")


@pytest.mark.parametrize(
    ("raises", "kind", "error"),
    [
        ("raise ValueError('no prompt')", "failed", "ValueError: no prompt"),
        ("sys.exit(3)", "failed", "SystemExit: 3"),
        ("sys.exit()", "succeeded", ""),
        ("raise asyncio.CancelledError", "failed", "CancelledError"),
        ("asyncio.get_running_loop().call_soon(sys.exit, 4); await asyncio.sleep(0.1)", "failed", "SystemExit: 4"),
    ],
)
def test_whatever_the_entrypoint_raises_has_a_last_word(fork: Fork, raises: str, kind: str, error: str) -> None:
    """livekit-agents itself calls all of it a success, or never ends."""
    process = fork(f"\n@server.rtc_session()\nasync def entrypoint(ctx: JobContext) -> None:\n    {raises}\n")
    process.start()
    ended = process.end()
    assert (ended.kind, ended.error) == (kind, error)


def test_an_entrypoint_that_never_joins_ends_its_job(fork: Fork) -> None:
    """Nothing would ever end it: without a room there is nobody to leave."""
    process = fork("\n@server.rtc_session()\nasync def entrypoint(ctx: JobContext) -> None: ...\n")
    process.start()
    ended = process.end()
    assert (ended.kind, ended.reason) == ("succeeded", "entrypoint returned")


def test_the_end_comes_in_their_order(fork: Fork, tmp_path: Path) -> None:
    """Entrypoint, session end, callbacks; the host is told each."""
    process = fork(
        """
def note(text):
    with open("order", "a") as file:
        file.write(text + "\\n")

async def session_end(ctx: JobContext) -> None:
    note("session_end")

async def with_reason(reason: str) -> None:
    note("callback " + reason)

async def without() -> None:
    note("callback")

@server.rtc_session(on_session_end=session_end)
async def entrypoint(ctx: JobContext) -> None:
    ctx.add_shutdown_callback(with_reason)
    ctx.add_shutdown_callback(without)
    try:
        await asyncio.Event().wait()
    finally:
        note("entrypoint")
"""
    )
    process.start()
    process.receive(Started)
    process.stop("room is needed", grace_seconds=0.1)
    phases = [message.phase for message in process.rest() if isinstance(message, Stopping)]
    assert phases == ["entrypoint", "session_end", "callbacks"]
    order = (tmp_path / "order").read_text().splitlines()
    assert order[:2] == ["entrypoint", "session_end"]
    assert sorted(order[2:]) == ["callback", "callback room is needed"]


def test_what_hangs_at_the_end_is_named_and_left(fork: Fork) -> None:
    """Within one budget everybody gets a turn: the entrypoint, session_end, and each callback."""
    process = fork(
        """
async def forever(*_):
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            print("cancelled", flush=True)
            raise

async def fine(reason: str) -> None:
    print("callback", reason, flush=True)

@server.rtc_session(on_session_end=forever)
async def entrypoint(ctx: JobContext) -> None:
    ctx.add_shutdown_callback(forever)
    ctx.add_shutdown_callback(fine)
    await forever()
"""
    )
    process.start()
    process.receive(Started)
    began = time.monotonic()
    process.stop("deadline", grace_seconds=2.0, budget_seconds=2.0)
    ended = process.end()
    assert time.monotonic() - began < 6.0  # the host would have killed it before; a busy machine is slow
    assert (ended.kind, ended.reason) == ("stopped", "deadline")
    assert "callback deadline" in process.output and process.output.count("cancelled") == 3
    told = [line.message for line in process.lines]
    assert "did not end within its grace and is cancelled" in told
    assert "session_end took too long and is cancelled" in told
    assert "shutdown callback took too long and is cancelled" in told


def test_an_error_of_an_entrypoint_that_is_ending_is_in_the_log(fork: Fork) -> None:
    """The outcome, which was decided before, does not have it."""
    process = fork(
        """
@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        raise ValueError("while it ended")
"""
    )
    process.start()
    process.receive(Started)
    process.stop("deadline", grace_seconds=0.1)
    assert process.end().kind == "stopped"
    assert [line.traceback for line in process.lines if "ValueError: while it ended" in line.traceback]


def test_a_callback_that_fails_holds_up_no_other(fork: Fork) -> None:
    """It is logged."""
    process = fork(
        """
async def broken() -> None:
    raise ValueError("in a callback")

async def fine() -> None:
    await asyncio.sleep(0)
    print("fine", flush=True)

@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    ctx.add_shutdown_callback(broken)
    ctx.add_shutdown_callback(fine)
    ctx.shutdown()
"""
    )
    process.start()
    assert process.end().kind == "succeeded"
    assert "fine" in process.output
    assert "in a callback" in process.line("shutdown callback failed").traceback


def test_prewarm_and_context_are_theirs(fork: Fork) -> None:
    """`ctx.proc.userdata`, `get_job_context()`, and the file's settings, which theirs has not."""
    process = fork(
        """
def prewarm(proc: JobProcess) -> None:
    proc.userdata["model"] = "warm"

server.setup_fnc = prewarm

@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    same = get_job_context() is ctx
    ctx.shutdown(f"{ctx.proc.userdata['model']} {same} {ctx.settings['voice']} {ctx.attempt} {ctx.room.name}")
"""
    )
    process.start(settings={"voice": "alba"}, attempt=2, job=Job(id="AJ_1", room=Room(name="lobby")))
    assert process.end().reason == "warm True alba 2 lobby"


@pytest.mark.skipif(
    "preload_modules" not in inspect.signature(agents.AgentServer).parameters, reason="not in this version"
)
def test_modules_to_preload_are_there_before_prewarm(fork: Fork, tmp_path: Path) -> None:
    """`preload_modules`, which their fork server would import: here the template."""
    (tmp_path / "heavy.py").write_text("import os\npid = os.getpid()\n")
    process = fork(
        """
def prewarm(proc: JobProcess) -> None:
    proc.userdata["loaded"] = sys.modules["heavy"].pid

server = AgentServer(preload_modules=["heavy"], setup_fnc=prewarm)

@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    ctx.shutdown(str(ctx.proc.userdata["loaded"] > 0))
"""
    )
    process.start()
    assert process.end().reason == "True"


def test_prewarm_that_fails_is_told(fork: Fork) -> None:
    """Before any job."""
    process = fork(
        """
def prewarm(proc: JobProcess) -> None:
    raise ValueError("no model")

server.setup_fnc = prewarm

@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None: ...
"""
    )
    failed = process.receive(InitFailed)
    assert (failed.phase, failed.message) == ("prewarm", "ValueError: no model")


def test_functions_of_the_file_win_over_those_of_the_code(fork: Fork) -> None:
    """Prewarm, also an async one, and session_end."""
    process = fork(
        """
def theirs(proc: JobProcess) -> None:
    proc.userdata["from"] = "code"

async def prewarm(proc: JobProcess) -> None:
    await asyncio.sleep(0)
    proc.userdata["from"] = "file"

async def session_end(ctx: JobContext) -> None:
    print("the file's session_end", flush=True)

async def code_session_end(ctx: JobContext) -> None:
    print("the code's session_end", flush=True)

server.setup_fnc = theirs

@server.rtc_session(on_session_end=code_session_end)
async def entrypoint(ctx: JobContext) -> None:
    ctx.shutdown(ctx.proc.userdata["from"])
""",
        prewarm="agent:prewarm",
        session_end="agent:session_end",
    )
    process.start()
    assert process.end().reason == "file"
    assert "the file's session_end" in process.output and "the code's" not in process.output


def test_log_context_fields_are_on_every_record_after_them(fork: Fork) -> None:
    """Their way to give records of a job its facts."""
    process = fork(
        """
import logging

@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    ctx.log_context_fields = {"caller": "ada"}
    logging.getLogger("shop").warning("sold out")
    ctx.shutdown()
"""
    )
    process.start()
    process.end()
    assert process.line("sold out").fields["caller"] == "ada"


def test_inference_runners_are_asked_in_the_job(fork: Fork) -> None:
    """What a plugin registers is loaded once, before any job, where it leaves no thread behind."""
    process = fork(
        """
from livekit.agents.inference_runner import _InferenceRunner

class Doubler(_InferenceRunner):
    INFERENCE_METHOD = "double"

    def initialize(self) -> None:
        print("loaded in", os.getpid(), flush=True)

    def run(self, data: bytes) -> bytes:
        if data == b"bad":
            raise ValueError("not that")
        return data + data

_InferenceRunner.register_runner(Doubler)

@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    said = await ctx.inference_executor.do_inference("double", b"ab")
    try:
        await ctx.inference_executor.do_inference("double", b"bad")
    except RuntimeError as error:
        ctx.shutdown(f"{said.decode()}, {error}")
"""
    )
    process.start()
    assert process.end().reason == "abab, inference of double failed: not that"


def test_a_process_that_waits_has_not_begun_anything(fork: Fork) -> None:
    """It is ready, and ends when its host has no use for it."""
    process = fork(HANGS)
    process.receive(Ready)
    process.hang_up()
    assert process.wait() == 0


@pytest.mark.skipif(
    importlib.util.find_spec("livekit.agents.telemetry.loop_monitor") is None, reason="not in this version"
)
def test_code_that_blocks_the_loop_is_warned_about(fork: Fork) -> None:
    """By livekit-agents' own monitor, as under its own host."""
    process = fork(
        """
import time

@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    await asyncio.sleep(0.2)
    time.sleep(1.0)
    await asyncio.sleep(0.5)
    ctx.shutdown()
"""
    )
    process.start()
    process.end()
    assert any("event loop" in line.message and "block" in line.message for line in process.lines)
