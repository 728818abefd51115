"""`VoiceProcess`: livekit-agents' own job process, minus its process. Runs in job processes.

Their `_JobProc` makes the JobContext, runs the entrypoint, and ends session and job in their order: telemetry, reports
and HTTP sessions come with it. It expects a channel to its parent; `VoiceRun` stands at the other end of that.
"""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from livekit.agents.ipc import job_proc_lazy_main, proto
from livekit.agents.job import JobExecutorType
from livekit.agents.utils import aio

from agenthost.child.agent_code import AgentCode
from agenthost.ipc.messages import StartJob
from agenthost.voice import telemetry
from agenthost.voice.inference import InferenceRunners
from agenthost.voice.job_run import VoiceRun
from agenthost.voice.rehearsal import rehearse

UserFunction = Callable[..., Any]

_OUR_LIMITS_COUNT = 7 * 24 * 3600.0  # seconds; VoiceRun has limits of its own for session_end

_MAKE: Callable[..., Any] = job_proc_lazy_main._JobProc
_TAKES = frozenset(inspect.signature(_MAKE).parameters)  # versions differ; looked at once, for it touches much memory


class VoiceProcess:
    """One process for one job. `bridge` is what their code sends its messages to, once there is a job.

    `job_task` is their side of a job from its first order to its end, and waits for `orders`: both are there from when
    a job is near.
    """

    def __init__(
        self,
        code: AgentCode,
        userdata: dict[str, Any],
        *,
        simulation_end: UserFunction | None,
        inference: InferenceRunners,
        proxy: str,
    ) -> None:
        self.code = code
        self.inference = inference
        self.bridge: VoiceRun | None = None
        self.orders: Any = None
        self.job_task: Any = None
        self._userdata = userdata
        self.proxy = proxy
        self._loop: asyncio.AbstractEventLoop | None = None
        wanted: dict[str, Any] = {
            "initialize_process_fnc": self._initialize,
            "job_entrypoint_fnc": self._entrypoint,
            "session_end_fnc": self._session_end,
            "simulation_end_fnc": simulation_end,
            "session_end_timeout": _OUR_LIMITS_COUNT,
            "executor_type": JobExecutorType.PROCESS,
            "user_arguments": None,
        }
        self.job_proc = _MAKE(**{key: value for key, value in wanted.items() if key in _TAKES})

    def prewarm(self) -> asyncio.AbstractEventLoop | None:
        """As `JobRunner`: their initialisation, and the user's setup function in it."""
        telemetry.take_over_resource()
        self.job_proc.initialize(proto.InitializeRequest(http_proxy=self.proxy), self)
        return self._loop

    def settle(self, loop: asyncio.AbstractEventLoop, *, called: Callable[[], bool]) -> None:
        """As `JobRunner`: all of it would cost 2 MB, and the first part, 0.6 MB, save half a millisecond."""

    def brace(self, loop: asyncio.AbstractEventLoop, *, called: Callable[[], bool]) -> None:
        """As `JobRunner`."""
        if not called():
            loop.run_until_complete(self._listen())
        rehearse(self, loop, called=called)

    def make_run(self, start: StartJob) -> VoiceRun:
        """As `JobRunner`."""
        self._open()
        self.bridge = VoiceRun(start, self)
        return self.bridge

    async def _listen(self) -> None:
        self._open()
        await asyncio.sleep(0)  # their task runs until it waits for an order

    def _open(self) -> None:
        """On the job's loop."""
        if self.job_task is None:
            telemetry.give_own_id()
            self.orders = aio.Chan()
            self.job_task = asyncio.ensure_future(self.job_proc.entrypoint(self.orders))

    async def send(self, message: Any) -> None:
        """What their code says to its parent."""
        assert self.bridge is not None
        await self.bridge.heard(message)

    def _initialize(self, process: Any) -> None:
        process.userdata.update(self._userdata)
        prewarm = self.code.prewarm
        if prewarm is None or self.code.spec.prewarm_shared:
            return
        result = prewarm(process)
        if inspect.isawaitable(result):
            self._loop = asyncio.new_event_loop()
            self._loop.run_until_complete(_awaited(result))

    async def _entrypoint(self, context: Any) -> None:
        assert self.bridge is not None
        await self.bridge.run_entrypoint(context)

    async def _session_end(self, context: Any) -> None:
        assert self.bridge is not None
        await self.bridge.run_session_end(context)


async def _awaited(result: Any) -> None:
    await result
