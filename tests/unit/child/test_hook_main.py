"""`run_hook_process`: request handlers and load functions, in real processes."""

from collections.abc import Mapping

import pytest
from livekit.protocol.agent import Job
from livekit.protocol.models import Room

from agenthost.ipc.messages import AskHandler, AskLoad, HandlerAnswer, LoadAnswer, LogLevels, Ready, StartJob, StopJob
from tests.support.job_process import Fork, JobProcess, start_job

ENTRYPOINT = "\nasync def entrypoint(ctx): ...\n"


def _handler(fork: Fork, body: str) -> JobProcess:
    process = fork(
        f"import asyncio, sys\nasync def handler(req):\n    {body}{ENTRYPOINT}", kind="hook", handler="agent:handler"
    )
    process.receive(Ready)
    return process


def _load(fork: Fork, function: str) -> JobProcess:
    process = fork(f"{function}{ENTRYPOINT}", kind="hook", load="agent:load")
    process.receive(Ready)
    return process


def _ask(number: int = 1, room: str = "lobby", attributes: Mapping[str, str] | None = None) -> AskHandler:
    job = Job(id="AJ_1", room=Room(name=room), agent_name="support", metadata="m")
    return AskHandler(
        number=number,
        job=job.SerializeToString(),
        identity="agent-AJ_1",
        name="Support",
        metadata="rules",
        attributes=attributes or {"tier": "gold"},
    )


def _answer(fork: Fork, body: str) -> HandlerAnswer:
    process = _handler(fork, body)
    process.send(_ask(7))
    return process.receive(HandlerAnswer)


def test_accept_without_arguments_confirms_what_the_rules_said(fork: Fork) -> None:
    """Identity, name, metadata and attributes are those of the file."""
    assert _answer(fork, "await req.accept()") == HandlerAnswer(
        number=7, action="accept", identity="agent-AJ_1", name="Support", metadata="rules", attributes={"tier": "gold"}
    )


def test_accept_changes_only_what_it_is_given(fork: Fork) -> None:
    """Key by key; a key that is given replaces the file's as a whole, with an empty value too."""
    answer = _answer(fork, "await req.accept(name='', attributes={'room': req.room.name})")
    assert answer == HandlerAnswer(
        number=7, action="accept", identity="agent-AJ_1", name="", metadata="rules", attributes={"room": "lobby"}
    )


@pytest.mark.parametrize(
    ("body", "action"),
    [("await req.reject()", "terminate"), ("await req.reject(terminate=False)", "reject")],
)
def test_reject_terminates_unless_told_otherwise(fork: Fork, body: str, action: str) -> None:
    """The default is that of livekit-agents: nobody else is asked."""
    assert _answer(fork, body) == HandlerAnswer(number=7, action=action)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ("raise ValueError('no table')", "ValueError: no table"),
        ("sys.exit(3)", "SystemExit: 3"),
        ("raise asyncio.CancelledError", "CancelledError"),
        ("asyncio.current_task().cancel(); await asyncio.sleep(1)", "CancelledError"),
        ("pass", "the handler returned without calling accept() or reject()"),
        ("await req.accept(attributes={'lk.x': '1'})", "ValueError: accept(attributes=…): `lk.x` is reserved"),
    ],
)
def test_handler_that_does_not_answer_is_an_error_with_its_detail(fork: Fork, body: str, detail: str) -> None:
    """The host rejects and counts it; the process goes on serving."""
    process = _handler(fork, body)
    for number in (1, 2):
        process.send(_ask(number))
        answer = process.receive(HandlerAnswer)
        assert (answer.number, answer.action) == (number, "error")
        assert answer.detail.startswith(detail)


def test_error_of_a_handler_is_logged_with_its_traceback(fork: Fork) -> None:
    """Once for each request, with the job it was about."""
    process = _handler(fork, "raise ValueError('no table')")
    process.send(_ask())
    process.receive(HandlerAnswer)
    line = process.line("the request handler failed")
    assert line.fields["job_id"] == "AJ_1"
    assert line.traceback.endswith("ValueError: no table")


def test_answer_leaves_at_once_and_the_handler_may_go_on(fork: Fork) -> None:
    """The offer has a deadline; what the handler does afterwards has none, and cannot change the answer."""
    process = _handler(fork, "await req.accept(); print('later', flush=True); await req.reject()")
    process.send(_ask())
    assert process.receive(HandlerAnswer).action == "accept"
    process.send(StopJob(reason="", grace_seconds=0.0))
    assert process.rest() == []
    assert process.output == "later\n"
    assert "RuntimeError: this job request was answered already" in process.line("the request handler failed").traceback


def test_slow_request_holds_up_no_other(fork: Fork) -> None:
    """Requests are handled at the same time and answered as they are decided."""
    code = f"""
import asyncio
second = asyncio.Event()
async def handler(req):
    if req.room.name == "first":
        await second.wait()
    second.set()
    await req.accept()
{ENTRYPOINT}"""
    process = fork(code, kind="hook", handler="agent:handler")
    process.receive(Ready)
    process.send(_ask(1, room="first"), _ask(2, room="second"))
    assert [process.receive(HandlerAnswer).number for _ in range(2)] == [2, 1]


BLOCKING = """
import asyncio, threading
second = threading.Event()
async def handler(req):
    if req.room.name == "first":
        second.wait()
    {begin}
    second.set()
    await req.accept()
"""


def test_handler_that_blocks_holds_up_no_other(fork: Fork) -> None:
    """The loop is held up, so the other request is handled beside it; the log names the line that blocks."""
    process = fork(BLOCKING.format(begin="") + ENTRYPOINT, kind="hook", handler="agent:handler")
    process.receive(Ready)
    process.send(_ask(1, room="first"), _ask(2, room="second"))
    assert [process.receive(HandlerAnswer).number for _ in range(2)] == [2, 1]
    assert process.line("event loop held up").fields["at"].endswith(".py:6")


def test_task_that_a_handler_leaves_lives_on_beside_a_held_up_loop(fork: Fork) -> None:
    """What it began may take longer than its answer."""
    code = """
import asyncio, threading
ended = threading.Event()
async def later():
    await asyncio.sleep(0.01)
    ended.set()
async def handler(req):
    if req.room.name == "first":
        ended.wait()
    else:
        handler.task = asyncio.create_task(later())
    await req.accept()
"""
    process = fork(code + ENTRYPOINT, kind="hook", handler="agent:handler")
    process.receive(Ready)
    process.send(_ask(1, room="first"), _ask(2, room="second"))
    assert [process.receive(HandlerAnswer).number for _ in range(2)] == [2, 1]


def test_what_belongs_to_the_held_up_loop_is_waited_for(fork: Fork) -> None:
    """A session, a lock or a pool of that loop cannot be used beside it: then it is handled when that is free."""
    code = """
import asyncio, threading
release = threading.Event()
home = None
async def handler(req):
    global home
    home = home or asyncio.get_running_loop()
    if req.room.name == "first":
        release.wait()
    elif asyncio.get_running_loop() is not home:
        release.set()
        raise RuntimeError("got Future attached to a different loop")
    await req.accept()
"""
    process = fork(code + ENTRYPOINT, kind="hook", handler="agent:handler")
    process.receive(Ready)
    process.send(_ask(1, room="first"), _ask(2, room="second"))
    answers = [process.receive(HandlerAnswer) for _ in range(2)]
    assert [(answer.number, answer.action) for answer in answers] == [(1, "accept"), (2, "accept")]


def test_request_shows_what_is_asked_for(fork: Fork) -> None:
    """The server's own message and its parts."""
    facts = "req.id, req.job.metadata, req.room.name, req.agent_name, req.publisher"
    answer = _answer(fork, f"await req.accept(metadata=repr([{facts}]))")
    assert answer.metadata == repr(["AJ_1", "m", "lobby", "support", None])


@pytest.mark.parametrize(
    ("function", "load"),
    [
        ("def load(): return 0.5", 0.5),
        ("def load(active_jobs): return active_jobs / 4", 0.75),
        ("def load(active_jobs=0): return active_jobs", 3.0),
        ("async def load(): return 1", 1.0),
        ("import numpy\ndef load(): return numpy.float32(0.25)", 0.25),
    ],
)
def test_load_is_what_the_function_returns(fork: Fork, function: str, load: float) -> None:
    """Sync or async, with the number of active jobs where it takes one."""
    process = _load(fork, function)
    process.send(AskLoad(number=4, active_jobs=3))
    assert process.receive(LoadAnswer) == LoadAnswer(number=4, load=load)


@pytest.mark.parametrize(
    ("function", "detail"),
    [
        ("def load(): raise OSError('no sensor')", "OSError: no sensor"),
        ("import sys\ndef load(): sys.exit(1)", "SystemExit: 1"),
        ("def load(): return None", "the load function returned None, which is no number"),
        ("def load(): return True", "the load function returned True, which is no number"),
        ("def load(): return float('nan')", "the load function returned nan, which is no number"),
        ("def load(): return '0.5'", "the load function returned '0.5', which is no number"),
    ],
)
def test_load_function_without_a_number_is_told(fork: Fork, function: str, detail: str) -> None:
    """The host keeps the last value and says why."""
    process = _load(fork, function)
    process.send(AskLoad(number=4, active_jobs=3))
    assert process.receive(LoadAnswer) == LoadAnswer(number=4, load=None, detail=detail)


def test_question_that_nobody_can_answer_is_an_error(fork: Fork) -> None:
    """An agent without a handler or load function has no hook process; were it asked, it would say so."""
    process = fork(ENTRYPOINT, kind="hook")
    process.receive(Ready)
    process.send(_ask(), AskLoad(number=1, active_jobs=0))
    assert process.receive(HandlerAnswer).detail == "LookupError: this agent has no request handler"
    assert process.receive(LoadAnswer).detail == "this agent has no load function"


def test_exit_in_a_task_of_the_user_leaves_the_process_serving(fork: Fork) -> None:
    """One request must not take the handler of all others with it."""
    process = _handler(
        fork, "asyncio.get_running_loop().call_soon(sys.exit, 3); await asyncio.sleep(0.001); await req.accept()"
    )
    for number in (1, 2):
        process.send(_ask(number))
        assert process.receive(HandlerAnswer).action == "accept"
    assert [line.message for line in process.lines] == ["user code tried to exit the hook process"] * 2


def test_host_that_goes_away_ends_the_process(fork: Fork) -> None:
    """Whatever is being asked at that moment."""
    process = _handler(fork, "await asyncio.Event().wait()")
    process.send(_ask())
    process.hang_up()
    assert process.wait() == 0


def test_other_messages_are_heard_or_told(fork: Fork) -> None:
    """Log levels change live; what cannot be meant for a hook process is a defect, told in the log."""
    process = _handler(fork, "import logging; logging.getLogger('app').debug('a detail'); await req.accept()")
    process.send(LogLevels(level="ERROR", levels={"app": "DEBUG"}), start_job(), _ask())
    process.receive(HandlerAnswer)
    assert process.line("a detail").level == 10
    assert process.line("a message that no hook process expects").fields["kind"] == StartJob.__name__
