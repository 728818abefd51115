"""Limits that need a real room: who is in it, and whether the agent is."""

from pathlib import Path

import psutil
import pytest
from livekit import api

from tests.support.host import write_agent
from tests.support.polling import poll
from tests.support.protocols import Join, RunHost
from tests.support.real_server import RealLiveKitServer

pytestmark = pytest.mark.e2e

CODE = """
    async def entrypoint(ctx):
        await ctx.connect()
"""
YAML = """
    version: 1
    agent_name: lonely
    entrypoint: my_agent:entrypoint
    load: { max_jobs: 9 }
    http: { listen: none }
    limits: { empty_room: 2s }
"""


async def test_empty_room_ends_the_job_once_the_last_person_is_gone_for_that_long(
    tmp_path: Path,
    run_any_host: RunHost,
    livekit_server: RealLiveKitServer,
    participant: Join,
    livekit_api: api.LiveKitAPI,
) -> None:
    """Scenario 40. Not before, while somebody is there; then as a success with that reason, and the process is gone."""
    host = await run_any_host(write_agent(tmp_path, CODE, YAML), server=livekit_server)
    await host.wait_event("registered")
    caller = await participant("lonely-room")
    request = api.CreateAgentDispatchRequest(agent_name="lonely", room="lonely-room")
    await livekit_api.agent_dispatch.create_dispatch(request)
    connected = await host.wait_event("job connected")
    await poll(lambda: caller.remote_participants, timeout=5, what="the caller sees no agent")
    await caller.disconnect()
    stopping = await host.wait_event("job stopping", reason="empty_room")
    assert stopping.at - connected.at > 1.5
    ended = await host.wait_event("job ended")
    assert (ended.fields["outcome"], ended.fields["reason"]) == ("stopped", "empty_room")
    assert not psutil.pid_exists(ended.fields["pid"])
