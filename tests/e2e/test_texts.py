"""Texts that are none on the real server: what the host makes of them is what others in the room see."""

import uuid
from pathlib import Path

import pytest
from livekit import api, rtc

from tests.support.host import write_agent
from tests.support.polling import poll
from tests.support.protocols import RunHost
from tests.support.real_server import RealLiveKitServer

pytestmark = pytest.mark.e2e

CODE = """
import asyncio


async def entrypoint(ctx):
    await ctx.connect()
    await ctx.agent.set_attributes({"sees": ctx.agent.name})
    await asyncio.sleep(60)
"""

YAML = """
http: { listen: none }
num_idle_processes: 0
agents:
  by-dispatch:
    entrypoint: my_agent:entrypoint
    agent_name: NAME-dispatch
    requests: { accept: { name: "{job.metadata.name}", metadata: "{job.metadata.name}" } }
  by-participant:
    entrypoint: my_agent:entrypoint
    agent_name: NAME-participant
    type: participant
    requests: { accept: { name: "{participant.metadata.name}", attributes: { who: "{participant.metadata.name}" } } }
"""
HALF = '{"name": "Ann \\ud83d"}'


async def test_half_an_emoji_of_a_dispatch_and_of_a_caller(
    tmp_path: Path, livekit_server: RealLiveKitServer, run_host: RunHost
) -> None:
    """1. A caller joins whose metadata is cut within an emoji, and an agent is dispatched with such metadata. 2. Both
    agents that are called by it join, and everybody, the job too, sees U+FFFD in its place. 3. The log says so once for
    each key. 4. The host runs on."""
    name = uuid.uuid4().hex[:8]
    host = await run_host(write_agent(tmp_path, CODE, YAML.replace("NAME", name)), server=livekit_server)
    await host.wait_event("registered", count=2)
    key = (livekit_server.api_key, livekit_server.api_secret)
    grants = api.VideoGrants(room_join=True, room=name)
    token = api.AccessToken(*key).with_identity("caller").with_grants(grants).with_metadata(HALF)
    room = rtc.Room()
    async with api.LiveKitAPI(livekit_server.url, *key) as client:
        agents = [api.RoomAgentDispatch(agent_name=f"{name}-participant")]
        await client.room.create_room(api.CreateRoomRequest(name=name, agents=agents))
        await room.connect(livekit_server.url, token.to_jwt())
        try:
            request = api.CreateAgentDispatchRequest(room=name, agent_name=f"{name}-dispatch", metadata=HALF)
            await client.agent_dispatch.create_dispatch(request)

            def seen() -> list[rtc.RemoteParticipant] | None:
                found = [one for one in room.remote_participants.values() if "sees" in one.attributes]
                return found if len(found) == 2 else None

            agents_there = await poll(seen, timeout=20.0, what="not both agents joined")
            assert {(one.name, one.attributes["sees"]) for one in agents_there} == {("Ann \ufffd", "Ann \ufffd")}
            assert {one.metadata for one in agents_there} == {"Ann \ufffd", ""}
            assert {one.attributes.get("who") for one in agents_there} == {"Ann \ufffd", None}
        finally:
            await room.disconnect()
    assert sorted(line.fields["key"] for line in host.events("text replaced")) == ["attributes.who", "metadata", "name"]
    assert host.running
