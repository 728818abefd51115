"""`JobRun`: one job on its event loop, from StartJob to the last word. Runs in job processes.

    starting ──entrypoint called──> running ──an ending is decided──> ending ──phases done──> ended

The first cause decides the outcome (`endings.py`); what happens after it is only logged. While the loop turns, a
heartbeat tells the host so. When the host is gone the process ends on the spot: nobody is left to end it for.
"""

import asyncio
import os
from collections.abc import Callable

from livekit.protocol.agent import Job
from livekit.rtc import ParticipantKind

from agenthost.child.agent_code import AgentCode
from agenthost.child.budget import Budget
from agenthost.child.endings import Ending, disconnected, raised, stopped, succeeded
from agenthost.child.job_end import JobEnd
from agenthost.context.api import ApiAccess
from agenthost.context.calls import attempt, call, name_of
from agenthost.context.current import set_job_context
from agenthost.context.job_context import JobContext
from agenthost.context.job_info import JobInfo
from agenthost.context.job_parts import JobParts
from agenthost.context.job_process import JobProcess
from agenthost.context.job_room import JobRoom
from agenthost.context.participants import Participants
from agenthost.ipc.channel import AsyncChannel, BlockingChannel
from agenthost.ipc.messages import (
    ApiToken,
    Connected,
    Heartbeat,
    LogLevels,
    Message,
    Started,
    StartJob,
    StopJob,
)
from agenthost.logs import pipe_handler
from agenthost.logs.events import get_logger

HEARTBEAT_SECONDS = 1.0
HOST_GONE = 1  # exit code; nobody reads it but a debugger

log = get_logger("job")


class JobRun:
    """Runs the job of `start` with the agent's `code`. Make it on the loop that runs it."""

    def __init__(self, start: StartJob, code: AgentCode, process: JobProcess) -> None:
        self._start = start
        self._code = code
        self._loop = asyncio.get_running_loop()
        self._ending: asyncio.Future[Ending] = self._loop.create_future()
        self._budget = Budget()
        self._parts = _assemble(start, process, self.end)
        self._context = JobContext(self._parts)
        self._announcements: set[asyncio.Task[None]] = set()
        self._channel: AsyncChannel | None = None
        self._parts.room.on("disconnected", self._on_disconnected)
        self._parts.room.when_joined(self._announce)
        pipe_handler.set_context_fields(self._parts.log_fields)

    async def run(self, channel: BlockingChannel) -> None:
        """From Started to Ended. `channel` is taken over, with what it has read already, and closed at the end."""
        set_job_context(self._context)
        self._channel = await channel.to_async(self._on_message, self._on_close)
        if not self._ending.done():  # a StopJob can come in the same breath as StartJob
            await self._serve()
        outcome = await self._ending
        finished, self._channel = self._channel, None
        finished.send(outcome.message())
        await finished.close_flushed()

    def end(self, reason: str) -> None:
        """End the job as a success, for `ctx.shutdown`."""
        self._decide(succeeded(reason))

    def interrupt(self, error: BaseException) -> None:
        """User code raised SystemExit or KeyboardInterrupt in a task or callback of its own."""
        if not self._decide(raised(error)):
            log.warning("user code tried to exit while the job was ending", error=type(error).__name__)

    async def _serve(self) -> None:
        self._send(Started())
        name = f"entrypoint {name_of(self._code.entrypoint)}"
        entrypoint = asyncio.create_task(self._run_entrypoint(), name=name)
        self._loop.call_later(HEARTBEAT_SECONDS, self._beat)
        ending = await self._ending
        await JobEnd(
            parts=self._parts,
            context=self._context,
            entrypoint=entrypoint,
            session_end=self._code.session_end,
            session_end_seconds=self._start.session_end_seconds,
            shutdown_seconds=self._start.shutdown_seconds,
            budget=self._budget,
            report=self._send,
        ).run(ending.reason)

    async def _run_entrypoint(self) -> None:
        try:
            error = await attempt(call(self._code.entrypoint, self._context))
        except asyncio.CancelledError as cancelled:
            self._decide(raised(cancelled))  # by its own doing, unless the job is ending
            return
        if error is not None:
            if not self._decide(raised(error)):
                log.warning("the entrypoint failed while the job was ending", exc_info=error)
            return
        await self._parts.room.wait_settled()
        if not self._parts.room.joined:
            self._decide(succeeded("entrypoint returned"))

    def _decide(self, ending: Ending) -> bool:
        """Whether `ending` is what the job ends by; only the first one is."""
        if self._ending.done():
            return False
        self._ending.set_result(ending)
        return True

    def _on_message(self, message: Message) -> None:
        match message:
            case StopJob():
                self._budget.tighten(grace=message.grace_seconds, total=message.budget_seconds)
                self._decide(stopped(message.reason))
            case ApiToken():
                self._parts.api.renew(message.token)
            case LogLevels():
                pipe_handler.set_levels(message.level, message.levels)
            case _:
                log.error("a message that no running job expects", message=type(message).__name__)

    def _on_close(self) -> None:
        if self._channel is not None:
            os._exit(HOST_GONE)

    def _on_disconnected(self, reason: int) -> None:
        self._decide(disconnected(reason))

    def _announce(self) -> None:
        task = asyncio.create_task(self._tell_connected(), name="agenthost: connected")
        self._announcements.add(task)
        task.add_done_callback(self._announcements.discard)

    async def _tell_connected(self) -> None:
        room = self._parts.room
        self._send(Connected(room_sid=await room.sid, participant_sid=room.local_participant.sid))

    def _beat(self) -> None:
        self._send(Heartbeat(people=_people(self._parts.room)))
        self._loop.call_later(HEARTBEAT_SECONDS, self._beat)

    def _send(self, message: Message) -> None:
        if self._channel is not None:
            self._channel.send(message)


def _assemble(start: StartJob, process: JobProcess, end: Callable[[str], None]) -> JobParts:
    job = Job.FromString(start.job)
    room = JobRoom(start.room)
    return JobParts(
        info=JobInfo(
            job=job,
            url=start.url,
            token=start.token,
            worker_id=start.worker_id,
            agent=start.agent,
            attempt=start.attempt,
            settings=start.settings,
        ),
        process=process,
        room=room,
        participants=Participants(room),
        api=ApiAccess(url=start.url, token=start.api_token, key=start.api_key, secret=start.api_secret),
        end=end,
    )


def _people(room: JobRoom) -> int:
    if not room.isconnected():
        return 0
    agent = ParticipantKind.PARTICIPANT_KIND_AGENT
    return sum(participant.kind != agent for participant in room.remote_participants.values())
