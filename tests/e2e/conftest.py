"""Job processes in rooms of the real server, without a host between."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from livekit import api
from livekit.protocol.agent import Job, JobType
from livekit.protocol.models import Room

from tests.support.job_process import Fork, JobTemplate
from tests.support.real_server import RealLiveKitServer


@pytest.fixture(scope="session")
def job_template() -> Iterator[JobTemplate]:
    """The template that all job processes of these tests are forked from."""
    with JobTemplate() as template:
        yield template


@pytest.fixture
def run_job(job_template: JobTemplate, livekit_server: RealLiveKitServer, tmp_path: Path) -> Iterator[Fork]:
    """`run_job(room, code, start={…}, server=…, **spec)` starts a job, in that room of a real server."""
    with ExitStack() as stack:

        def run(
            room: str, code: str, *, start: Any = None, server: RealLiveKitServer | None = None, **spec: Any
        ) -> Any:
            process = job_template.fork(tmp_path, code, **spec)
            stack.callback(process.close)
            process.start(**(_facts(server or livekit_server, room) | (start or {})))
            return process

        yield run


def _facts(server: RealLiveKitServer, room: str) -> dict[str, Any]:
    identity = "agent"
    return {
        "url": server.url,
        "room": room,
        "identity": identity,
        "token": _token(server, identity, api.VideoGrants(room_join=True, room=room, agent=True)),
        "api_token": _token(server, identity, api.VideoGrants(room_admin=True, room=room, room_create=True)),
        "job": Job(id="AJ_1", type=JobType.JT_ROOM, room=Room(name=room)),
    }


def _token(server: RealLiveKitServer, identity: str, grants: api.VideoGrants) -> str:
    token = api.AccessToken(server.api_key, server.api_secret).with_identity(identity).with_kind("agent")
    return token.with_grants(grants).to_jwt()
