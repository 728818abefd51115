"""A hook process: `run_hook_process`. One per agent generation that has a request handler or a custom load.

It lives long and answers questions of the host, many at a time, on an event loop of its own, and beside it where a
handler blocks that (`hook_line.py`). What user code does wrong becomes an answer with a detail; hanging is the host's
to notice.
"""

import asyncio
import math
from collections.abc import Callable, Coroutine
from numbers import Real
from typing import Any

from livekit.protocol.agent import Job

from agenthost.child.agent_code import AgentCode
from agenthost.child.hook_line import HookLine
from agenthost.child.user_errors import error_text
from agenthost.context.calls import attempt, call, taken_by
from agenthost.context.job_request import Appearance, JobRequest, Rejection
from agenthost.ipc.channel import BlockingChannel
from agenthost.ipc.messages import (
    AskHandler,
    AskLoad,
    HandlerAnswer,
    LoadAnswer,
    LogLevels,
    Message,
    Ready,
    StopJob,
)
from agenthost.jobs import ActiveJob
from agenthost.logs import pipe_handler
from agenthost.logs.events import get_logger

log = get_logger("hook")


def run_hook_process(channel: BlockingChannel, code: AgentCode, *, report: Callable[[], Ready] = Ready) -> int:
    """Say Ready and answer until the host closes the channel or sends StopJob; returns the exit code.

    `report` makes the Ready.
    """
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    channel.send(report())
    task = loop.create_task(Hook(code).run(channel), name="agenthost: hook")
    while not task.done():
        try:
            loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt) as error:  # asyncio lets these out of any task or callback
            if task.done():
                raise
            log.warning("user code tried to exit the hook process", error=type(error).__name__)
    return 0


class Hook:
    """Answers AskHandler and AskLoad; each question is a task of its own, so a slow one holds up no other."""

    def __init__(self, code: AgentCode) -> None:
        self._code = code
        self._line: HookLine | None = None
        self._questions: set[asyncio.Task[None]] = set()
        self._done = asyncio.Event()
        self._jobs: dict[str, ActiveJob] = {}

    async def run(self, channel: BlockingChannel) -> None:
        """Until the host is gone or wants no more; questions still open then are dropped."""
        self._line = HookLine(
            channel, on_message=self._on_message, on_close=self._done.set, elsewhere=self._ask_elsewhere
        )
        await self._done.wait()

    def _on_message(self, message: Message) -> None:
        match message:
            case AskHandler():
                self._start(self._ask_here(message))
            case AskLoad():
                self._start(self._ask_load(message))
            case LogLevels():
                pipe_handler.set_levels(message.level, message.levels)
            case StopJob():
                self._done.set()
            case _:
                log.error("a message that no hook process expects", kind=type(message).__name__)

    def _start(self, question: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(question)
        self._questions.add(task)
        task.add_done_callback(self._questions.discard)

    def _send(self, message: Message) -> None:
        assert self._line is not None
        self._line.send(message)

    async def _ask_here(self, question: AskHandler) -> None:
        assert self._line is not None
        if not self._line.begins(question):
            return
        request = self._request(question)
        error = await self._call_handler(request)
        self._conclude(question, request, error)

    async def _ask_elsewhere(self, question: AskHandler) -> None:
        """In another thread, on its loop. What belongs to this process's own loop cannot be used there."""
        assert self._line is not None
        request = self._request(question)
        error = await self._call_handler(request)
        if isinstance(error, RuntimeError) and not request.answered:  # how asyncio says so
            self._line.give_back(question)
            return
        self._conclude(question, request, error)

    def _request(self, question: AskHandler) -> JobRequest:
        def answer(decided: Appearance | Rejection) -> None:
            self._send(_handler_answer(question.number, decided))

        return JobRequest(job=Job.FromString(question.job), proposal=_proposal(question), answer=answer)

    def _conclude(self, question: AskHandler, request: JobRequest, error: BaseException | None) -> None:
        if error is not None:
            log.error("the request handler failed", job_id=request.id, exc_info=error)
        if not request.answered:
            detail = error_text(error) if error else "the handler returned without calling accept() or reject()"
            self._send(HandlerAnswer(number=question.number, action="error", detail=detail))

    async def _call_handler(self, request: JobRequest) -> BaseException | None:
        if self._code.handler is None:
            return LookupError("this agent has no request handler")
        try:
            return await attempt(call(self._code.handler, request))
        except asyncio.CancelledError as error:  # nobody cancels a question: the handler did it itself
            return error

    async def _ask_load(self, question: AskLoad) -> None:
        load, detail = await self._measure(question)
        self._send(LoadAnswer(number=question.number, load=load, detail=detail))

    async def _measure(self, question: AskLoad) -> tuple[float | None, str]:
        code = self._code
        self._jobs |= question.new
        self._jobs = {id: self._jobs[id] for id in question.jobs}
        if code.load is None and code.server_load is None:
            return None, "this agent has no load function"
        try:
            if code.load is not None:
                value = await call(code.load, *taken_by(code.load, question.active_jobs))
            else:
                assert code.server_load is not None
                value = await code.server_load(self._jobs, question.worker_id)
        except BaseException as error:  # whatever user code raises is an answer, SystemExit too
            return None, error_text(error)
        if type(value) is bool or not isinstance(value, Real) or not math.isfinite(value):
            return None, f"the load function returned {value!r}, which is no number"
        return float(value), ""


def _proposal(question: AskHandler) -> Appearance:
    return Appearance(
        identity=question.identity, name=question.name, metadata=question.metadata, attributes=question.attributes
    )


def _handler_answer(number: int, decided: Appearance | Rejection) -> HandlerAnswer:
    if isinstance(decided, Rejection):
        return HandlerAnswer(number=number, action="terminate" if decided.terminate else "reject")
    return HandlerAnswer(
        number=number,
        action="accept",
        identity=decided.identity,
        name=decided.name,
        metadata=decided.metadata,
        attributes=decided.attributes,
    )
