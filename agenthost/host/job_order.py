"""`JobOrder`: everything one job is run with, and the message that hands it to its process."""

import time
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from agenthost.config.model import Limits, Permissions, SessionHost
from agenthost.dispatch.token import Credentials, api_token, job_token
from agenthost.ipc.messages import StartJob
from agenthost.jobs import Assignment


class JobOrder(Struct, frozen=True, kw_only=True):
    """Everything a job is run with; `agent` is whose code, `receiver` whose registration.

    `attempt` is 1, and one more each time that its dispatch was made anew because the job was lost.
    """

    assignment: Assignment
    worker_id: str
    agent: str
    receiver: str
    generation: int
    url: str
    credentials: Credentials
    permissions: Permissions
    limits: Limits
    settings: Mapping[str, Any]
    drain_timeout: float
    secret_in_job: bool
    attempt: int
    session_host: SessionHost

    @property
    def job_id(self) -> str:
        return self.assignment.offer.job_id

    @property
    def room(self) -> str:
        """The room's name."""
        return self.assignment.offer.room.name


def start_message(order: JobOrder, guests: Mapping[str, str]) -> StartJob:
    """What the job's process is told; `guests` of its room are of interest to one that has a session for them."""
    offer, accept, times = order.assignment.offer, order.assignment.accept, order.assignment.times
    return StartJob(
        job_id=offer.job_id,
        job=offer.encoded,
        url=order.assignment.url or order.url,
        token=job_token(order.assignment.token, order.permissions, order.credentials),
        api_token=api_token(order.credentials, order.room),
        api_key=order.credentials.api_key if order.secret_in_job else "",
        api_secret=order.credentials.api_secret if order.secret_in_job else "",
        worker_id=order.worker_id,
        agent=order.agent,
        room=order.room,
        identity=accept.identity,
        name=accept.name,
        metadata=accept.metadata,
        attributes=accept.attributes,
        settings=order.settings,
        attempt=order.attempt,
        session_host=order.session_host.value,
        guests=guests if order.session_host is SessionHost.OWN else {},
        received_at=times.received,
        accepted_at=times.accepted,
        assigned_at=times.assigned,
        launched_at=time.time(),
        session_end_seconds=order.limits.session_end,
        shutdown_seconds=order.limits.shutdown,
    )
