"""Rules on the real server: one registration with several entrypoints behind it, and permissions that hold."""

import uuid
from pathlib import Path

import pytest
from livekit import rtc

from tests.support.host import write_agent
from tests.support.polling import poll
from tests.support.protocols import Join, RunHost
from tests.support.real_server import RealLiveKitServer

pytestmark = pytest.mark.e2e

CODE = """
from livekit import rtc


async def gold(ctx):
    await ctx.connect()
    await ctx.agent.set_attributes({"code": "gold"})


async def plain(ctx):
    await ctx.connect()
    track = rtc.LocalAudioTrack.create_audio_track("voice", rtc.AudioSource(48000, 1))
    try:
        await ctx.agent.publish_track(track, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE))
        code = "plain, published"
    except Exception as error:
        code = f"plain, refused: {type(error).__name__}"
    await ctx.agent.set_attributes({"code": code})
"""

YAML = """
http: { listen: none }
num_idle_processes: 0
load: { max_jobs: 20 }
agents:
  front-door:
    agent_name: ""
    requests:
      accept: { name: Support, attributes: { site: "{room.name}" } }
      rules:
        - { name: recordings, when: { room.name: "*-rec" }, action: terminate }
        - name: gold
          when: { room.name: "/-vip$/" }
          agent: gold
          accept: { identity: "gold-{job.id}", attributes: { tier: gold } }
        - { name: listen, when: { room.name: "*-listen" }, agent: plain, permissions: { can_publish: false } }
        - { name: none, when: { room.name: "*-none" }, agent: plain, permissions: { can_publish_sources: [] } }
        - { name: talk, when: { room.name: "*-talk" }, agent: plain }
      otherwise: reject
  gold: { entrypoint: "my_agent:gold", register: false }
  plain: { entrypoint: "my_agent:plain", register: false }
"""
SECONDS = 20.0  # a publish that is refused may take a while to be


async def _agent_that_ran(room: rtc.Room) -> rtc.RemoteParticipant:
    """The agent in the room, once its code has said so in an attribute."""

    def found() -> list[rtc.RemoteParticipant]:
        return [one for one in room.remote_participants.values() if "code" in one.attributes]

    (agent,) = await poll(found, timeout=SECONDS, what=f"no agent's code ran in {room.name}")
    return agent


async def test_rules_choose_code_appearance_and_permissions(
    tmp_path: Path, livekit_server: RealLiveKitServer, run_host: RunHost, participant: Join
) -> None:
    """1. One registration serves all rooms. 2. `agent:` picks the code, `accept` the appearance, attribute by
    attribute. 3. Where the rule takes can_publish or every source away a publish fails, where it does not it
    works. 4. Rooms that no rule wants stay without an agent."""
    host = await run_host(write_agent(tmp_path, CODE, YAML), server=livekit_server)
    await host.wait_event("registered")
    name = uuid.uuid4().hex[:8]
    rooms = {kind: await participant(f"{name}-{kind}") for kind in ("vip", "listen", "none", "talk", "rec", "other")}

    gold = await _agent_that_ran(rooms["vip"])
    assert gold.identity.startswith("gold-AJ_")
    assert gold.name == "Support"
    assert {key: gold.attributes[key] for key in ("code", "tier", "site")} == {
        "code": "gold",
        "tier": "gold",
        "site": f"{name}-vip",
    }
    talking = await _agent_that_ran(rooms["talk"])
    assert talking.attributes["code"] == "plain, published"
    for kind in ("listen", "none"):
        listening = await _agent_that_ran(rooms[kind])
        assert listening.attributes["code"].startswith("plain, refused: ")
        assert not listening.track_publications

    assert len(host.events("registered")) == 1
    (accepted,) = host.events("job accepted", room=f"{name}-vip")
    assert (accepted.fields["rule"], accepted.fields["target"]) == ("gold", "gold")
    assert accepted.fields["place"].endswith("agenthost.yaml:12:11")
    assert accepted.fields["decision_microseconds"] < 50_000
    decided = {line.fields["room"]: line.fields["rule"] for line in host.events("offer rejected")}
    assert decided == {f"{name}-rec": "recordings", f"{name}-other": "otherwise"}
    assert not rooms["rec"].remote_participants
    assert not rooms["other"].remote_participants
