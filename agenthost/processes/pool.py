"""The processes of one agent generation: a few kept idle, any number started when a job needs one.

Runs on the host's loop. A reservation is a *started* process, idle or not: the server is answered only when it
exists, and it may still import and prewarm while the assignment travels. A process runs one job and is never used
again, so nothing a job leaks outlives it. Idle ones are started one after another, and with a growing delay when they
fail or die young, so that broken code cannot eat the machine; a job that needs a process never waits for that delay.
"""

import asyncio

from msgspec import Struct

from agenthost.errors import ProcessFailed
from agenthost.ipc.messages import Message
from agenthost.processes.child_process import Hung, InitFailure
from agenthost.processes.home import ProcessHome
from agenthost.processes.job_process import JobProcess, JobProcessState
from agenthost.processes.starters import Starter, start_process
from agenthost.processes.templates import NUMBERS
from agenthost.restarts import start_delay

REFILL_SECONDS = 0.1
"""For so long at most, making another idle process waits for jobs that are being started: they need the processors."""

STABLE_SECONDS = 10.0  # an idle process that lived this long was good: its death is no reason to wait
_DUMP_SECONDS = 1.0  # faulthandler writes in a signal handler; this is for a busy machine to read the pipe


class PoolStatistics(Struct, frozen=True, kw_only=True):
    """`failures`: idle processes in a row that died before they were ready."""

    idle: int
    starting: int
    reserved: int
    running: int
    failures: int
    last_failure: str


class Pool:
    """`starter` makes processes; `num_idle` and `init_seconds` may be changed at any time."""

    def __init__(self, agent: str, *, starter: Starter, home: ProcessHome, num_idle: int, init_seconds: float) -> None:
        self.num_idle = num_idle
        self.init_seconds = init_seconds
        self.failures = 0
        self.last_failure = ""
        self._died_young = 0
        self._agent = agent
        self._starter = starter
        self._home = home
        self._processes: set[JobProcess] = set()
        self._unused: dict[JobProcess, None] = {}  # idle or to be, the oldest first
        self._launching: set[JobProcess] = set()  # reserved, and their job has not started
        self._changed = asyncio.Event()
        self._closed = False

    async def run(self) -> None:
        """Keep `num_idle` processes idle until `close`; the owner's task."""
        while not self._closed:
            self._changed.clear()
            if len(self._spare()) < self.num_idle:
                await self._jobs_first()
                await self._add_idle()
            else:
                self._shrink()
                await self._changed.wait()

    async def prove(self) -> JobProcess:
        """Start one process and wait until it is ready. Raises ProcessFailed (InitFailure with the user's error)."""
        process = await self._start()
        await self._wait_ready(process)
        self._changed.set()
        return process

    async def reserve(self) -> JobProcess:
        """A started process for one job: the one that has been idle longest, else a new one. Raises ProcessFailed."""
        for process in self._spare():
            del self._unused[process]
            process.reserve()
            self._died_young = 0
            self._launch_of(process)
            self._changed.set()
            return process
        return await self._start(reserve=True)

    def give_back(self, process: JobProcess) -> None:
        """The reservation was not used. A ready process becomes idle again; one that is not, or too many, is ended."""
        wanted = not self._closed and len(self._spare()) < self.num_idle
        self._launching.discard(process)
        if process.state is JobProcessState.RESERVED and process.is_ready and wanted:
            process.move(JobProcessState.IDLE)
            self._unused[process] = None
        elif process.state is JobProcessState.RESERVED:
            process.discard()
        self._changed.set()

    def tell(self, message: Message) -> None:
        """Send something to every process of this pool, those that run a job included."""
        for process in self._processes:
            process.send(message)

    def wake(self) -> None:
        """Look again: `num_idle` changed."""
        self._changed.set()

    async def close(self) -> None:
        """End the idle processes and those to be; reserved and running ones are their owners' business."""
        self._closed = True
        self._changed.set()
        unused = list(self._unused)
        for process in unused:
            process.discard()
        await asyncio.gather(*(asyncio.shield(process.ended) for process in unused))

    def statistics(self) -> PoolStatistics:
        count = dict.fromkeys(JobProcessState, 0)
        for process in self._processes:
            count[process.state] += 1
        return PoolStatistics(
            idle=count[JobProcessState.IDLE],
            starting=count[JobProcessState.STARTING],
            reserved=count[JobProcessState.RESERVED],
            running=count[JobProcessState.RUNNING],
            failures=self.failures,
            last_failure=self.last_failure,
        )

    async def _jobs_first(self) -> None:
        """Wait until the jobs that are being started have, a moment at most."""
        try:
            async with asyncio.timeout(REFILL_SECONDS):
                while self._launching and not self._closed:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass

    async def _add_idle(self) -> None:
        delay = start_delay(max(self.failures, self._died_young))
        if delay:
            try:
                async with asyncio.timeout(delay):
                    await self._closing()
            except TimeoutError:
                pass
            if self._closed:
                return
        try:
            await self._wait_ready(await self._start())
        except ProcessFailed as error:
            if self._closed:
                return  # it was ended because it was not needed any more
            self.failures += 1
            self.last_failure = str(error)
            self._log_failure(error)

    async def _closing(self) -> None:
        while not self._closed:
            self._changed.clear()
            await self._changed.wait()

    async def _start(self, *, reserve: bool = False) -> JobProcess:
        return await start_process(self._starter, "job", lambda: self._new_process(reserve=reserve))

    def _new_process(self, *, reserve: bool) -> JobProcess:
        if self._closed and not reserve:
            raise ProcessFailed("the pool is closed")
        process = JobProcess(number=next(NUMBERS), agent=self._agent, home=self._home)
        if reserve:
            process.reserve()
            self._launch_of(process)
        else:
            self._unused[process] = None
        self._processes.add(process)
        process.ended.add_done_callback(lambda _: self._gone(process))
        return process

    def _launch_of(self, process: JobProcess) -> None:
        self._launching.add(process)
        process.running.add_done_callback(lambda _: self._launched(process))

    def _launched(self, process: JobProcess) -> None:
        self._launching.discard(process)
        self._changed.set()

    async def _wait_ready(self, process: JobProcess) -> None:
        try:
            async with asyncio.timeout(self.init_seconds):
                await asyncio.shield(process.ready)
        except TimeoutError:
            stacks = await end_hanging(process)
            raise Hung(f"a process was not ready within limits.init ({self.init_seconds:g} s)", stacks) from None
        self.failures = 0
        self.last_failure = ""

    def _spare(self) -> list[JobProcess]:
        return [process for process in self._unused if process.state is JobProcessState.IDLE]

    def _shrink(self) -> None:
        for process in self._spare()[self.num_idle :]:
            process.discard()

    def _gone(self, process: JobProcess) -> None:
        self._processes.discard(process)
        self._unused.pop(process, None)
        self._changed.set()
        if process.died_idle:
            young = asyncio.get_running_loop().time() - process.born < STABLE_SECONDS
            self._died_young = self._died_young + 1 if young else 0
            self._home.log.warning("idle process died", agent=self._agent, pid=process.pid, cause=process.death)

    def _log_failure(self, error: ProcessFailed) -> None:
        phase = error.report.phase if isinstance(error, InitFailure) else "start"
        traceback = error.report.traceback if isinstance(error, InitFailure) else ""
        self._home.log.error(
            "process failed",
            agent=self._agent,
            phase=phase,
            error=str(error),
            failures=self.failures,
            retry_in_seconds=start_delay(self.failures),
            traceback=traceback,
        )


async def end_hanging(process: JobProcess) -> str:
    """Have a process that hangs write its stacks to its stderr, then kill it. Where it stood, "" if it did not say."""
    stacks = await process.stacks(seconds=_DUMP_SECONDS)
    process.kill_because("hung before it was ready")
    await process.ended
    return stacks
