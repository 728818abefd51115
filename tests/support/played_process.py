"""Processes of a host that there are not: the host's own objects for them, whose other ends the test plays."""

import asyncio
import os

from agenthost.logs.events import get_logger
from agenthost.processes.child_process import ChildProcess
from agenthost.processes.ends import ProcessEnds
from agenthost.processes.home import ProcessHome
from agenthost.processes.job_process import JobProcess
from agenthost.processes.reaper import Reaper


class PlayedStarter:
    """`made` is the process it started, without a pid: nobody is to be killed. It says what the test has it receive."""

    def __init__(self) -> None:
        self.made: asyncio.Future[ChildProcess] = asyncio.get_running_loop().create_future()
        self._theirs: tuple[int, ...] = ()

    async def start(self, process: ChildProcess, kind: str) -> None:
        ends = ProcessEnds.open()
        process.open(ends)
        self._theirs = ends.theirs
        process.started.set_result(0)
        self.made.set_result(process)

    def end(self) -> None:
        """Close its ends, as the kernel does."""
        for descriptor in self._theirs:
            os.close(descriptor)
        self._theirs = ()


def played_home() -> ProcessHome:
    """With nobody who reaps: for processes without a pid."""
    return ProcessHome(reaper=Reaper(), log=get_logger("test"))


async def played_job_process(starter: PlayedStarter) -> JobProcess:
    """One that is reserved for a job, and still in its prewarm."""
    process = JobProcess(number=1, agent="a", home=played_home())
    process.reserve()
    await starter.start(process, "job")
    return process
