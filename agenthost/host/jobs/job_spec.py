"""`JobSpec`: everything one job is run with, and the message that hands it to its process."""

import time
from collections.abc import Mapping
from typing import Any

from agenthost.config.model import Limits, LiveKitConfig, Permissions, SessionHost
from agenthost.dispatch.token import Credentials, api_token, job_token
from agenthost.ipc.messages import StartJob
from agenthost.jobs import Accept, DispatchTimes, Offer
from agenthost.values import Discreet


class JobSpec(Discreet, frozen=True, kw_only=True):
    """What is settled about a job when it is assigned; a reload after that changes nothing of it.

    agent    whose code runs, in its `generation`
    token    the server's, for joining the room
    url      where the room is
    server   whose key the job's own tokens are signed with
    grants   those of its token for the server API
    file     the host's, "" where it runs without one
    attempt  1, and one more each time that its dispatch was made anew because the job was lost
    """

    not_shown = frozenset({"token", "server"})

    offer: Offer
    accept: Accept
    times: DispatchTimes
    worker_id: str
    agent: str
    generation: int
    token: str
    url: str
    server: LiveKitConfig
    grants: tuple[str, ...]
    permissions: Permissions
    limits: Limits
    settings: Mapping[str, Any]
    secret_in_job: bool
    file: str
    attempt: int
    session_host: SessionHost

    @property
    def room(self) -> str:
        """The room's name."""
        return self.offer.room.name

    @property
    def credentials(self) -> Credentials:
        return Credentials(api_key=self.server.api_key, api_secret=self.server.api_secret)

    def api_token(self) -> str:
        """A fresh token for the server API."""
        return api_token(self.credentials, self.room, self.grants)


def start_message(spec: JobSpec, guests: Mapping[str, str]) -> StartJob:
    """What the job's process is told; `guests` of its room are of interest to one that has a session for them.

    Raises TokenRefused when the server's token is none for this job.
    """
    offer, accept, times, credentials = spec.offer, spec.accept, spec.times, spec.credentials
    return StartJob(
        job_id=offer.job_id,
        job=offer.encoded,
        url=spec.url,
        token=job_token(spec.token, spec.permissions, credentials, room=spec.room, identity=accept.identity),
        api_token=spec.api_token(),
        api_key=credentials.api_key if spec.secret_in_job else "",
        api_secret=credentials.api_secret if spec.secret_in_job else "",
        worker_id=spec.worker_id,
        agent=spec.agent,
        room=spec.room,
        identity=accept.identity,
        name=accept.name,
        metadata=accept.metadata,
        attributes=accept.attributes,
        settings=spec.settings,
        file=spec.file,
        attempt=spec.attempt,
        session_host=spec.session_host.value,
        guests=guests if spec.session_host is SessionHost.OWN else {},
        received_at=times.received,
        accepted_at=times.accepted,
        assigned_at=times.assigned,
        launched_at=time.time(),
        session_end_seconds=spec.limits.session_end,
        shutdown_seconds=spec.limits.shutdown,
    )
