"""How a host ends: the first signal lets jobs finish, the second ends them in a budget, the third kills them.

Runs on the host's loop. Each job has the drain deadline of the agent that received it; `forever` has none.
"""

import asyncio
import math

from agenthost.errors import ExitCode
from agenthost.host.commands import Command
from agenthost.host.running_jobs import RunningJobs
from agenthost.logs.events import get_logger
from agenthost.signals import Signalled

_log = get_logger("host")


async def drain(jobs: RunningJobs, commands: "asyncio.Queue[Command]") -> ExitCode:
    """Wait until no job is left. JOBS_ENDED when one was ended for it: a deadline, or another signal."""
    loop = asyncio.get_running_loop()
    deadlines = [
        loop.call_later(job.order.drain_timeout, job.stop_within, "drain deadline", job.order.limits.shutdown)
        for job in jobs.all()
        if math.isfinite(job.order.drain_timeout)
    ]
    listening = loop.create_task(_heed_signals(jobs, commands))
    try:
        await jobs.idle.wait()
    finally:
        listening.cancel()
        for deadline in deadlines:
            deadline.cancel()
    return ExitCode.JOBS_ENDED if jobs.any_forced else ExitCode.OK


async def _heed_signals(jobs: RunningJobs, commands: "asyncio.Queue[Command]") -> None:
    signals = 1
    while True:
        command = await commands.get()
        if command is Signalled.HANG_UP:
            _log.warning("reload refused", reason="the host is draining")
        if command is not Signalled.TERMINATE:
            continue
        signals += 1
        _log.warning("ending jobs" if signals == 2 else "killing jobs", jobs=len(jobs.all()))
        for job in jobs.all():
            if signals == 2:
                job.stop_within("second signal", job.order.limits.shutdown)
            else:
                job.kill("third signal")
