"""`JobRun`: one job on its event loop, from StartJob to the last word. Runs in job processes.

    starting ──entrypoint called──> running ──an ending is decided──> ending ──phases done──> ended

The first cause decides the outcome (`endings.py`); what happens after it is only logged. `job_line.py` is what ties
the job to its host.
"""

import asyncio
from collections.abc import Callable

from livekit.protocol.agent import Job
from livekit.rtc import ConnectionState, ParticipantKind, Room

from agenthost.child.agent_code import AgentCode
from agenthost.child.endings import disconnected, raised, succeeded
from agenthost.child.framework import session_topic
from agenthost.child.job_end import JobEnd
from agenthost.child.job_line import JobLine
from agenthost.child.joining import Joining
from agenthost.context.api import ApiAccess
from agenthost.context.calls import attempt, call, name_of
from agenthost.context.current import set_job_context
from agenthost.context.job_context import JobContext
from agenthost.context.job_info import JobInfo
from agenthost.context.job_parts import JobParts
from agenthost.context.job_process import JobProcess
from agenthost.context.job_room import JobRoom
from agenthost.context.participants import Participants, StoppedWaiting
from agenthost.ipc.channel import BlockingChannel
from agenthost.ipc.messages import Connected, Heartbeat, Started, StartJob
from agenthost.logs import pipe_handler
from agenthost.logs.events import get_logger

log = get_logger("job")


class JobRun:
    """Runs the job of `start` with the agent's `code`. Make it on the loop that runs it."""

    def __init__(self, start: StartJob, code: AgentCode, process: JobProcess) -> None:
        self._start = start
        self._code = code
        self._parts = _assemble(start, process, self.end)
        self._topic = session_topic(start, say=lambda seen: self._line.say(seen))
        self._line = JobLine(
            heartbeat=lambda: heartbeat_in(self._joining.room),
            renew_token=self._parts.api.renew,
            welcome=self._topic.welcome if self._topic else lambda sids: None,
        )
        self._context = JobContext(self._parts)
        self._joining = Joining(
            self._parts.room,
            room=start.room,
            identity=start.identity,
            joined=lambda room, participant: self._line.say(Connected(room_sid=room, participant_sid=participant)),
            left=self._on_disconnected,
        )
        self._parts.room.on("disconnected", self._on_disconnected)
        pipe_handler.set_context_fields(self._parts.log_fields)

    async def run(self, channel: BlockingChannel) -> float:
        """As `framework.Run`."""
        set_job_context(self._context)
        if self._topic is not None:
            self._topic.open()
        self._joining.open()
        self._line.open(channel)
        if not self._line.ending.done():
            await self._serve()
        await self._line.close()
        self._joining.close()
        return self._line.exit_seconds(self._start.shutdown_seconds)

    def end(self, reason: str) -> None:
        """End the job as a success, for `ctx.shutdown`."""
        self._line.decide(succeeded(reason))

    def interrupt(self, error: BaseException) -> None:
        """User code raised SystemExit or KeyboardInterrupt in a task or callback of its own."""
        if not self._line.decide(raised(error)):
            log.warning("user code tried to exit while the job was ending", error=type(error).__name__)

    async def _serve(self) -> None:
        self._line.say(Started())
        name = f"entrypoint {name_of(self._code.entrypoint)}"
        entrypoint = asyncio.create_task(self._run_entrypoint(), name=name)
        self._line.start_heartbeat()
        ending = await self._line.ending
        await JobEnd(
            parts=self._parts,
            context=self._context,
            entrypoint=entrypoint,
            session_end=self._code.session_end,
            session_end_seconds=self._start.session_end_seconds,
            shutdown_seconds=self._start.shutdown_seconds,
            leave=self._joining.leave,
            budget=self._line.budget,
            report=self._line.say,
        ).run(ending.reason)

    async def _run_entrypoint(self) -> None:
        try:
            error = await attempt(call(self._code.entrypoint, self._context))
        except asyncio.CancelledError as cancelled:
            self._line.decide(raised(cancelled))  # by its own doing, unless the job is ending
            return
        if error is not None:
            if not self._line.decide(raised(error)):
                _tell_late(error)
            return
        if not await self._joining.wait():
            if self._parts.participants.expected:
                log.warning("participant entrypoints were added, but the entrypoint returned without ctx.connect()")
            self._line.decide(succeeded("entrypoint returned"))

    def _on_disconnected(self, reason: int) -> None:
        self._line.decide(disconnected(reason))


def _tell_late(error: BaseException) -> None:
    """An error that no longer decides how the job ends."""
    if isinstance(error, StoppedWaiting):  # of our making, and no fault of anybody
        log.debug("the entrypoint waited for a participant until the job's end", reason=str(error))
    else:
        log.warning("the entrypoint failed while the job was ending", exc_info=error)


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
        api=ApiAccess(
            url=start.url, token=start.api_token, key=start.api_key, secret=start.api_secret, file=start.file
        ),
        end=end,
    )


def heartbeat_in(room: Room) -> Heartbeat:
    """What a job says once a second of how it is in its room."""
    if not room.isconnected():
        return Heartbeat(people=0)
    agent = ParticipantKind.PARTICIPANT_KIND_AGENT
    # A list at once: a room of the user's own may be in another thread.
    people = sum(participant.kind != agent for participant in list(room.remote_participants.values()))
    return Heartbeat(people=people, connected=room.connection_state == ConnectionState.CONN_CONNECTED)
