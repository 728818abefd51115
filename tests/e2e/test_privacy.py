"""What people said and who they are stays out of the logs: a whole scenario on the real server, at each level.

A less talkative level than INFO says some of what INFO says.
"""

import asyncio
import uuid
from pathlib import Path

import pytest
from livekit import api

from tests.support.host import write_agent
from tests.support.protocols import Join, RunHost
from tests.support.real_server import RealLiveKitServer

pytestmark = pytest.mark.e2e

CODE = """
import asyncio, os, signal
from livekit import api
from agenthost import JobContext, JobRequest

async def answer(request: JobRequest) -> None:
    await request.accept(metadata="private-of-the-agent", attributes={"private-key": "private-value"})

async def meet(ctx, participant):
    await asyncio.sleep(0)

async def entrypoint(ctx: JobContext) -> None:
    ctx.add_participant_entrypoint(meet)
    await ctx.connect()
    await ctx.wait_for_participant()
    await ctx.api.room.update_room_metadata(
        api.UpdateRoomMetadataRequest(room=ctx.room.name, metadata="private-of-the-room")
    )
    match ctx.attempt:
        case 1:
            raise ValueError("first")
        case 2:
            os.kill(os.getpid(), signal.SIGKILL)
    ctx.shutdown("done")
"""
FILE = """
version: 1
agent_name: {name}
entrypoint: my_agent:entrypoint
log_level: {level}
http: {{ listen: none }}
control: {{ socket: none }}
recovery: true
load: {{ max_jobs: 5 }}
restart: {{ policy: on-failure, attempts: 2, backoff: 50ms }}
requests:
  handler: my_agent:answer
  rules: [{{ name: vip, when: {{ job.metadata: "private-*" }}, action: accept }}]
"""


@pytest.mark.parametrize("level", ["TRACE", "DEBUG", "INFO"])
async def test_metadata_is_never_logged_and_identities_only_for_who_debugs(
    run_host: RunHost,
    livekit_server: RealLiveKitServer,
    livekit_api: api.LiveKitAPI,
    participant: Join,
    tmp_path: Path,
    level: str,
) -> None:
    """Metadata and attributes of the dispatch, the room, the person and the agent; a failure, a crash, an end."""
    name = f"agent-{uuid.uuid4().hex[:8]}"
    room = f"room-{name}"
    host = await run_host(write_agent(tmp_path, CODE, FILE.format(name=name, level=level)), server=livekit_server)
    await host.wait_event("registered")
    await participant(room, "identity-of-a-person", attributes={"private-key": "private-of-the-person"})
    await livekit_api.room.update_room_metadata(
        api.UpdateRoomMetadataRequest(room=room, metadata="private-of-the-room")
    )
    request = api.CreateAgentDispatchRequest(
        agent_name=name, room=room, metadata="private-of-the-dispatch", attributes={"private-key": "private-value"}
    )
    await livekit_api.agent_dispatch.create_dispatch(request)
    # the third attempt ends well, and with recovery a good end takes its dispatch along; so does each new attempt
    await host.wait_event("job ended", outcome="succeeded", timeout=60)
    assert await _gone(livekit_api, room, name), host.output()
    await host.close()
    said = "\n".join([*map(repr, host.lines), *host.stray, host.stderr])
    assert ("entrypoint failed" in said) and ("SIGKILL" in said)
    assert [line for line in said.splitlines() if "private-" in line] == []
    if level not in ("TRACE", "DEBUG"):
        assert [line for line in said.splitlines() if "identity-of-a-person" in line] == []


async def _gone(livekit_api: api.LiveKitAPI, room: str, name: str) -> bool:
    """Whether the dispatch is deleted before long."""
    for _ in range(200):
        if not [one for one in await livekit_api.agent_dispatch.list_dispatch(room) if one.agent_name == name]:
            return True
        await asyncio.sleep(0.2)
    return False
