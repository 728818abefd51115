"""What a drain hears, also when there is no job that it waits for."""

import asyncio
import logging

import pytest

from agenthost.errors import ExitCode
from agenthost.host.commands import Command, Failed
from agenthost.host.drain import Drain
from agenthost.host.jobs.registry import JobRegistry
from agenthost.internal_errors import InternalErrors
from agenthost.logs.events import get_logger
from agenthost.metrics import Metrics
from agenthost.processes.cause_of_death import OomWatch


async def test_failure_that_nobody_has_heard_when_the_last_job_is_gone_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It came with the signal, or after the last job: the host has failed all the same."""
    commands: asyncio.Queue[Command] = asyncio.Queue()
    errors = InternalErrors(Metrics(), get_logger("test"))
    jobs = JobRegistry(metrics=Metrics(), errors=errors, oom=OomWatch(), log=get_logger("test"))
    drain = Drain(jobs, commands, errors, signals=1)
    assert drain.end() is ExitCode.OK
    commands.put_nowait(Failed(ValueError("a loop")))
    with caplog.at_level(logging.ERROR, "agenthost.host"):
        await drain.run()
        assert drain.end() is ExitCode.FAILURE
    [record] = caplog.records
    assert record.message == "host failed"
    assert record.exc_info is not None and str(record.exc_info[1]) == "a loop"
