"""`Recovery`: what a host does so that no call stays without its agent. Runs on the host's loop.

Restarts of jobs that ended here, the search for dispatches that nobody serves, and the check for ends that the server
never told. The host tells it what happens; what it needs to know it asks a `HostView`.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Protocol

from msgspec import Struct, field

from agenthost.config.model import LiveKitConfig
from agenthost.errors import AgentHostError
from agenthost.internal_errors import InternalErrors
from agenthost.jobs import RoomInfo
from agenthost.logs.events import EventLogger
from agenthost.metrics import InternalPart, Metrics
from agenthost.recovery.policy import Patience
from agenthost.recovery.restarting import EndedJob, Restarter, Spawn
from agenthost.recovery.room_check import CHECK_SECONDS, DoubtfulJob, RoomCheck
from agenthost.recovery.server_api import ServerApi
from agenthost.recovery.sweeping import Pace, Sweeper, Watched
from agenthost.recovery.terminations import dispatch_stands


class HostView(Protocol):
    """The host as recovery sees it."""

    def closed(self) -> bool:
        """Whether it takes no jobs any more."""

    def livekit(self) -> LiveKitConfig:
        """The server that its registrations are on now."""

    def watched(self) -> Sequence[Watched]:
        """The registered agents with recovery."""

    def serving(self, dispatch_id: str) -> bool:
        """Whether it has a job, or has accepted an offer, of this dispatch."""

    def doubtful(self) -> Sequence[DoubtfulJob]:
        """Jobs whose end the server might not tell."""

    def close_job(self, job_id: str) -> None:
        """End a job whose room is gone."""

    def terminate_job(self, job_id: str) -> None:
        """End a job as the server said."""

    def found_job(self, job_id: str, people: int) -> None:
        """The participant of a job whose process has not joined is in its room, with so many people."""

    def doubt_job(self, job_id: str) -> None:
        """The server will not tell this job's end any more: it takes it for ended."""


Keep = Callable[[Callable[[], Coroutine[None, None, None]]], "asyncio.Task[None]"]
"""Runs a loop, and begins it anew should it fail."""


class RecoveryTimes(Struct, frozen=True, kw_only=True):
    """All waits, in seconds."""

    pace: Pace = field(default_factory=Pace)
    patience: Patience = field(default_factory=Patience)
    room_check: float = CHECK_SECONDS


_TIMES = RecoveryTimes()


class Recovery:
    """`connect` makes the client of a server; there is one for each. `spawn` does one thing, `keep` runs a loop."""

    def __init__(
        self,
        host: HostView,
        *,
        connect: Callable[[LiveKitConfig], ServerApi],
        spawn: Spawn,
        keep: Keep,
        metrics: Metrics,
        errors: InternalErrors,
        log: EventLogger,
        times: RecoveryTimes = _TIMES,
    ) -> None:
        self._connect = connect
        self._host = host
        self._spawn = spawn
        self._keep = keep
        self._errors = errors
        self._log = log
        self._servers: dict[LiveKitConfig, ServerApi] = {}
        self._restarter = Restarter(spawn=spawn, closed=host.closed, metrics=metrics, log=log)
        self._sweeper = Sweeper(
            server=lambda: self.server(host.livekit()),
            watched=lambda: () if host.closed() else host.watched(),
            serving=host.serving,
            metrics=metrics,
            log=log,
            errors=errors,
            pace=times.pace,
            patience=times.patience,
        )
        self._room_check = RoomCheck(
            doubtful=host.doubtful,
            close=host.close_job,
            terminate=host.terminate_job,
            found=host.found_job,
            log=log,
            errors=errors,
            seconds=times.room_check,
        )

    def server(self, livekit: LiveKitConfig) -> ServerApi:
        """The client of a server; a reload may have changed which one new jobs come from."""
        if livekit not in self._servers:
            self._servers[livekit] = self._connect(livekit)
        return self._servers[livekit]

    def start(self) -> None:
        """Look for what is lost from now on."""
        self._keep(self._sweeper.run)
        self._keep(self._room_check.run)

    def ended(self, job: EndedJob) -> None:
        """A job of this host has ended, whatever the outcome."""
        self._restarter.ended(job)

    def missed(self, room: RoomInfo) -> None:
        """This host could not take an offer for this room, or accepted one and was not given it."""
        self._sweeper.missed(room)

    def terminated(self, job: DoubtfulJob, dispatch_id: str) -> None:
        """The server ended a job of this dispatch, or takes it for ended."""
        self._spawn(self._judge_termination(job, dispatch_id))

    async def settle(self) -> None:
        """The host ends: finish the restarts that are under way."""
        await self._restarter.settle()

    async def _judge_termination(self, job: DoubtfulJob, dispatch_id: str) -> None:
        """Where nobody can tell, the server's word holds."""
        try:
            is_meant = not await dispatch_stands(job.server, room=job.room, dispatch_id=dispatch_id)
        except AgentHostError:
            is_meant = True
        except Exception as error:
            self._errors.note(InternalPart.RECOVERY, error, job_id=job.job_id)
            is_meant = True
        if is_meant:
            self._host.terminate_job(job.job_id)
            return
        self._host.doubt_job(job.job_id)
        reason = "its participant came and went, and its dispatch stands"
        self._log.info("termination ignored", job_id=job.job_id, room=job.room, reason=reason)
