"""How a host ends: the first signal lets jobs finish, the second ends them in a budget, the third kills them.

Runs on the host's loop. Every job that the server believes to be ours is waited for, assigned or not; each has the
drain deadline of the agent that received it (`forever` has none).
"""

import asyncio

from agenthost.errors import ExitCode
from agenthost.host.commands import Command, Failed, Started
from agenthost.host.jobs.job import Job
from agenthost.host.jobs.registry import JobRegistry
from agenthost.internal_errors import InternalErrors
from agenthost.logs.events import get_logger
from agenthost.metrics import InternalPart
from agenthost.signals import Signalled

_log = get_logger("host")

_SAID = {1: "draining already", 2: "ending jobs"}  # by the number of the signal; "killing jobs" from the third on


class Drain:
    """`signals` is how many were counted: one when it begins, none where it is the host that failed."""

    def __init__(
        self, jobs: JobRegistry, commands: "asyncio.Queue[Command]", errors: InternalErrors, *, signals: int
    ) -> None:
        self.signals = signals
        self._jobs = jobs
        self._commands = commands
        self._errors = errors
        self._has_failed = False

    async def run(self) -> None:
        """Wait until no job is left."""
        self._jobs.drain()
        listening = asyncio.get_running_loop().create_task(self._listen())
        try:
            await self._jobs.wait_ended()
        finally:
            listening.cancel()

    def end(self) -> ExitCode:
        """Hear what nobody has heard yet. FAILURE when the host itself failed meanwhile, JOBS_ENDED when a job was
        ended for the drain: by a deadline, or another signal."""
        while not self._commands.empty():
            self._hear(self._commands.get_nowait())
        if self._has_failed:
            return ExitCode.FAILURE
        return ExitCode.JOBS_ENDED if self._jobs.any_forced else ExitCode.OK

    async def _listen(self) -> None:
        while True:
            self._hear(await self._commands.get())

    def _hear(self, command: Command) -> None:
        """An error in one costs no other: whoever ends a host must be able to say so again."""
        with self._errors.contained(InternalPart.TASK):
            self._heed(command)

    def _heed(self, command: Command) -> None:
        jobs = self._jobs.accepted()
        match command:
            case Signalled.HANG_UP:
                _log.warning("reload refused", reason="the host is draining")
            case Signalled.TERMINATE:
                self.signals += 1
                _log.warning(_SAID.get(self.signals, "killing jobs"), jobs=len(jobs))
                for job in jobs:
                    with self._errors.contained(InternalPart.JOB, job_id=job.id):
                        self._end(job)
            case Started():
                pass  # said in the moment of the signal
            case Failed(error):
                self._has_failed = True
                effect = "it goes on draining" if jobs else "it ends with exit code 1"
                _log.error("host failed", exc_info=error, effect=effect, jobs=len(jobs))

    def _end(self, job: Job) -> None:
        if self.signals == 1:
            return  # it drains already
        if self.signals == 2:
            job.stop_within("second signal")
        elif job.running is not None:
            job.running.kill("third signal")
        else:
            self._jobs.withdraw(job, "third signal")
