"""One job of a host whose process there is not: its `RunningJob` is real, the process is played by the test."""

import asyncio
from collections.abc import Callable

from agenthost.config.model import LiveKitConfig, SessionHost
from agenthost.dispatch.token import Credentials, guest_token
from agenthost.host.guests import GuestList
from agenthost.host.jobs.job_spec import JobSpec
from agenthost.host.jobs.running_job import RunningJob
from agenthost.host.jobs.states import JobState
from agenthost.internal_errors import InternalErrors
from agenthost.jobs import Accept, DispatchTimes, JobOutcome, JobStatus
from agenthost.logs.events import get_logger
from agenthost.metrics import Metrics
from agenthost.processes.job_process import JobProcess
from tests.support.values import EVERYTHING, make_agent, make_offer

KEYS = Credentials(api_key="key", api_secret="a secret of some length")
SERVER = LiveKitConfig(
    url="ws://one", api_key=KEYS.api_key, api_secret=KEYS.api_secret, proxy=None, secret_in_jobs=None, job_grants=()
)
SPEC = JobSpec(
    offer=make_offer("r"),
    accept=Accept(identity="agent"),
    times=DispatchTimes(),
    worker_id="AW_1",
    agent="a",
    generation=1,
    token=guest_token(KEYS, "r", "agent"),
    url=SERVER.url,
    server=SERVER,
    grants=(),
    permissions=EVERYTHING,
    limits=make_agent().limits,
    settings={},
    secret_in_job=False,
    file="",
    attempt=1,
    session_host=SessionHost.OFF,
)


class PlayedJob:
    """A job on a process that is in its prewarm; `told` is what the server heard of it."""

    def __init__(self, process: JobProcess, moved: Callable[[JobState], None] = lambda state: None) -> None:
        self.metrics = Metrics()
        self.told: list[JobStatus] = []
        self.process = process
        self.job = RunningJob(
            SPEC,
            process,
            guests=GuestList(),
            reserve=_no_other,
            report=lambda status, error: self.told.append(status),
            moved=moved,
            errors=InternalErrors(self.metrics, get_logger("test")),
            log=get_logger("test"),
        )

    async def begin(self) -> "asyncio.Task[JobOutcome]":
        """Run it until its process has been told of it."""
        running = asyncio.create_task(self.job.run())
        await asyncio.sleep(0)
        return running


async def _no_other() -> JobProcess:
    raise AssertionError("no other process is asked for")
