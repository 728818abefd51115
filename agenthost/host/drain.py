"""How a host ends: the first signal lets jobs finish, the second ends them in a budget, the third kills them.

Runs on the host's loop. Every job that the server believes to be ours is waited for, assigned or not; each has the
drain deadline of the agent that received it (`forever` has none).
"""

import asyncio

from agenthost.errors import ExitCode
from agenthost.host.commands import Command, Failed, Started
from agenthost.host.jobs.registry import JobRegistry
from agenthost.logs.events import get_logger
from agenthost.signals import Signalled

_log = get_logger("host")


async def drain(jobs: JobRegistry, commands: "asyncio.Queue[Command]") -> ExitCode:
    """Wait until no job is left. FAILURE when the host itself failed meanwhile, JOBS_ENDED when a job was ended for
    the drain: by a deadline, or another signal."""
    jobs.drain()
    failures: list[Exception] = []
    listening = asyncio.get_running_loop().create_task(_heed(jobs, commands, failures))
    try:
        await jobs.wait_ended()
    finally:
        listening.cancel()
    if failures:
        return ExitCode.FAILURE
    return ExitCode.JOBS_ENDED if jobs.any_forced else ExitCode.OK


async def _heed(jobs: JobRegistry, commands: "asyncio.Queue[Command]", failures: list[Exception]) -> None:
    signals = 1
    while True:
        match await commands.get():
            case Signalled.HANG_UP:
                _log.warning("reload refused", reason="the host is draining")
            case Signalled.TERMINATE:
                signals += 1
                _log.warning("ending jobs" if signals == 2 else "killing jobs", jobs=len(jobs.accepted()))
                _end_all(jobs, signals)
            case Started():
                pass  # said in the moment of the signal
            case Failed(error):
                failures.append(error)
                _log.error("host failed", exc_info=error, effect="it goes on draining", jobs=len(jobs.accepted()))


def _end_all(jobs: JobRegistry, signals: int) -> None:
    for job in jobs.accepted():
        if signals == 2:
            job.stop_within("second signal")
        elif job.running is not None:
            job.running.kill("third signal")
        else:
            jobs.withdraw(job, "third signal")
