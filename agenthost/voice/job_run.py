"""`VoiceRun`: one job of livekit-agents code on its event loop. Runs in job processes.

Stands where their job process has its parent: gives the job to `_JobProc`, asks it to end, hears how far it is. What
the job ends by, its budgets, and what the host is told are ours, as for every other job.
"""

import asyncio
import inspect
from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from livekit.agents.ipc import proto
from livekit.agents.job import JobAcceptArguments, RunningJobInfo
from livekit.protocol.agent import Job

from agenthost.child.endings import Ending, disconnected, raised, succeeded
from agenthost.child.job_line import JobLine
from agenthost.child.job_run import heartbeat_in
from agenthost.child.joining import Joining
from agenthost.context.calls import attempt, call, name_of
from agenthost.ipc.channel import BlockingChannel
from agenthost.ipc.messages import Connected, Heartbeat, Started, StartJob, Stopping
from agenthost.jobs import OutcomeKind
from agenthost.logs.events import get_logger
from agenthost.voice.api_token import ApiToken
from agenthost.voice.first_uses import import_if_there
from agenthost.voice.job_end import VoiceEnd
from agenthost.voice.session_topic import SessionTopic

if TYPE_CHECKING:
    from agenthost.voice.job_process import VoiceProcess

JOIN_SECONDS = 5.0
"""An entrypoint that returns before its job has joined may have left a task behind that will: so long it is awaited."""

_TIMES = {"received_at", "accepted_at", "assigned_at", "launched_at"} & inspect.signature(
    RunningJobInfo
).parameters.keys()
"""Of the dispatch, for their trace of the job; older versions take none."""

_loop_monitor = import_if_there("livekit.agents.telemetry.loop_monitor")

log = get_logger("job")


class VoiceRun:
    """The job of `start`, in `process`. Make it on the loop that runs it."""

    def __init__(self, start: StartJob, process: "VoiceProcess") -> None:
        self._start = start
        self._process = process
        self._api_token = ApiToken(start, proxy=process.proxy)
        self._topic = SessionTopic(start, say=lambda seen: self._line.say(seen))
        self._line = JobLine(heartbeat=self._heartbeat, renew_token=self._api_token.renew, welcome=self._topic.welcome)
        self._end = VoiceEnd(
            budget=self._line.budget,
            shutdown_seconds=start.shutdown_seconds,
            session_end_seconds=start.session_end_seconds,
        )
        self._context: Any = None
        self._joining: Joining | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._line.ending.add_done_callback(self._on_ending)

    async def run(self, channel: BlockingChannel) -> float:
        """As `framework.Run`."""
        self._line.open(channel)
        if not self._line.ending.done():
            self._line.start_heartbeat()
            _watch_loop()
            self._topic.open()
            self._process.orders.send_nowait(self.order())
            error = await attempt(self._process.job_task)
            self._line.decide(raised(error) if error else _ENDED_INSIDE)
            if self._joining is not None:
                await self._end.leave(self._joining.leave)
            await self._end.clear_remains()
            await self._api_token.close()
        await self._line.close()
        if self._joining is not None:
            self._joining.close()
        return self._line.exit_seconds(self._start.shutdown_seconds)

    def interrupt(self, error: BaseException) -> None:
        """User code raised SystemExit or KeyboardInterrupt in a task or callback of its own."""
        if not self._line.decide(raised(error)):
            log.warning("user code tried to exit while the job was ending", error=type(error).__name__)

    # ── what their job process calls ─────────────────────────────────────────────────────────────────────────

    async def run_entrypoint(self, context: Any) -> None:
        """Call the user's entrypoint. Raises what it raises, so that their trace of the job has it, too."""
        self._adopt(context)
        self._line.say(Started())
        entrypoint = self._process.code.entrypoint
        task = asyncio.create_task(call(entrypoint, context), name=f"entrypoint {name_of(entrypoint)}")
        self._end.watch_entrypoint(task)
        error = await attempt(task)
        if isinstance(error, asyncio.CancelledError) and self._line.ending.done():
            return  # its grace was over
        if error is not None:
            self._line.decide(raised(error))
            if isinstance(error, Exception):
                raise error
            return
        await self._wait_joined()

    async def run_session_end(self, context: Any) -> None:
        """The user's session_end, the file's or the code's, within its limit."""
        function = self._process.code.session_end
        self._line.say(Stopping(phase="session_end", reason=self._reason))
        if function is not None:
            await self._end.call_session_end(function, context)

    async def heard(self, message: Any) -> None:
        """What their code says to its parent; by name, since newer versions say more than older ones."""
        match type(message).__name__:
            case "ShuttingDown":  # the session is closed; now the room and the callbacks
                self._line.say(Stopping(phase="callbacks", reason=self._reason))
                self._end.limit_callbacks(self._context)
            case "InferenceRequest":
                self._spawn(self._infer(message))
            case _:
                pass  # acknowledgements, and what newer versions tell

    # ── beginning ────────────────────────────────────────────────────────────────────────────────────────────

    def order(self) -> Any:
        """What their parent would send to start the job."""
        start = self._start
        order = proto.StartJobRequest()
        order.running_job = RunningJobInfo(
            accept_arguments=JobAcceptArguments(
                name=start.name,
                identity=start.identity,
                metadata=start.metadata,
                attributes=dict(start.attributes),
            ),
            job=Job.FromString(start.job),
            url=start.url,
            token=start.token,
            worker_id=start.worker_id,
            fake_job=False,
            **{name: getattr(start, name) for name in _TIMES},
        )
        return order

    def _adopt(self, context: Any) -> None:
        """Their context exists now: hear what ends the job, before they do, and see when it joins."""
        self._context = context
        context.settings = MappingProxyType(dict(self._start.settings))
        context.attempt = self._start.attempt
        self._api_token.attach(context)
        self._joining = Joining(
            context.room,
            room=self._start.room,
            identity=self._start.identity,
            joined=lambda room, participant: self._line.say(Connected(room_sid=room, participant_sid=participant)),
            left=self._on_disconnected,
        )
        self._joining.open()
        context.room.on("disconnected", self._on_disconnected)
        context._on_shutdown = self._before(context._on_shutdown)
        if self._line.ending.done():
            self._begin_end()

    def _before(self, shut_down: Callable[[str], None]) -> Callable[[str], None]:
        def shutdown(reason: str) -> None:
            if self._line.decide(succeeded(reason or "user requested")):
                self._begin_end()
            shut_down(reason)

        return shutdown

    async def _wait_joined(self) -> None:
        """The entrypoint has returned: a job that is not in its room by now, nor going there, is over."""
        assert self._joining is not None
        if not await self._joining.wait(JOIN_SECONDS):
            self._line.decide(succeeded("entrypoint returned"))

    # ── ending ───────────────────────────────────────────────────────────────────────────────────────────────

    def _on_disconnected(self, reason: int) -> None:
        if self._line.decide(disconnected(reason)):
            self._begin_end()

    def _on_ending(self, _: object) -> None:
        """Whatever it was: their job process is asked to end, if it has not begun to."""
        self._begin_end()
        if not self._process.orders.closed:
            self._process.orders.send_nowait(proto.ShutdownRequest(reason=self._reason))

    def _begin_end(self) -> None:
        if self._context is not None and self._end.begin(self._context):
            if self._joining is not None:
                self._joining.give_up()
            self._line.say(Stopping(phase="entrypoint", reason=self._reason))

    @property
    def _reason(self) -> str:
        return self._line.ending.result().reason if self._line.ending.done() else ""

    # ── meanwhile ────────────────────────────────────────────────────────────────────────────────────────────

    def _heartbeat(self) -> Heartbeat:
        return heartbeat_in(self._joining.room) if self._joining is not None else Heartbeat(people=0)

    async def _infer(self, request: Any) -> None:
        try:
            data = await self._process.inference.infer(request.method, request.data)
            answer = proto.InferenceResponse(request_id=request.request_id, data=data)
        except Exception as error:
            log.error("inference failed", method=request.method, exc_info=error)
            answer = proto.InferenceResponse(request_id=request.request_id, error=str(error))
        if not self._process.orders.closed:
            self._process.orders.send_nowait(answer)

    def _spawn(self, work: Any) -> None:
        task = asyncio.create_task(work, name="agenthost: voice")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _watch_loop() -> None:
    """Have them warn of code that blocks the loop, as they do in their own job processes; older versions cannot."""
    if _loop_monitor is not None:
        _loop_monitor.start_monitoring(asyncio.get_running_loop(), name="job")


_ENDED_INSIDE = Ending(
    kind=OutcomeKind.FAILED,
    reason="ended by livekit-agents",
    error="livekit-agents ended the job without giving a reason; its log may say more",
)
