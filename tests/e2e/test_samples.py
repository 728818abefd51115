"""Every sample, run as its reader would run it: its own file, a real LiveKit server, and people in the room."""

import asyncio
import json
import math
import uuid
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from livekit import api, rtc

from tests.support.host import HostProcess
from tests.support.polling import poll
from tests.support.protocols import Join, RunHost
from tests.support.real_server import RealLiveKitServer

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "samples"
SECONDS = 10.0  # for one message there and back; it takes some milliseconds


@pytest.fixture
def room_name() -> str:
    return f"room-{uuid.uuid4().hex[:8]}"


class Mailbox:
    """What one participant receives: texts of the chat, and data by topic, in order."""

    def __init__(self, room: rtc.Room) -> None:
        self.texts: asyncio.Queue[str] = asyncio.Queue()
        self.data: asyncio.Queue[rtc.DataPacket] = asyncio.Queue()
        self._readers: set[asyncio.Task[None]] = set()
        room.register_text_stream_handler("lk.chat", self._on_text)
        room.on("data_received", self.data.put_nowait)

    def _on_text(self, reader: rtc.TextStreamReader, sender: str) -> None:
        task = asyncio.create_task(self._read(reader))
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)

    async def _read(self, reader: rtc.TextStreamReader) -> None:
        self.texts.put_nowait(await reader.read_all())

    async def text(self) -> str:
        return await asyncio.wait_for(self.texts.get(), SECONDS)

    async def packet(self) -> rtc.DataPacket:
        return await asyncio.wait_for(self.data.get(), SECONDS)


async def _run_sample(
    run_host: RunHost, server: RealLiveKitServer, file: Path, registrations: int = 1, *more: str
) -> HostProcess:
    """Start the sample, with `more` arguments, and wait until all its agents are registered.

    On no fixed HTTP port, and without the limit of the machine's cpu: other tests may be using it.
    """
    settings = ("--set", "http.listen=127.0.0.1:0", "--set", "load.max_jobs=20", *more)
    host = await run_host(file, *settings, server=server, cwd=file.parent)
    await host.wait_event("registered", count=registrations)
    return host


async def _agent_in(room: rtc.Room, count: int = 1) -> list[rtc.RemoteParticipant]:
    """Wait until `count` agents are in the room, and are connected: what is sent to one that is not may be lost."""

    def agents() -> list[rtc.RemoteParticipant]:
        kind, state = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT, rtc.ParticipantState.PARTICIPANT_STATE_ACTIVE
        found = [p for p in room.remote_participants.values() if (p.kind, p.state) == (kind, state)]
        return found if len(found) >= count else []

    return await poll(agents, timeout=SECONDS, what=f"{count} agents did not join {room.name}")


@asynccontextmanager
async def _speaking(room: rtc.Room) -> AsyncIterator[None]:
    """Publish a microphone that carries a loud tone of 440 Hz, as long as the block runs."""
    rate, samples = 48000, 480
    source = rtc.AudioSource(rate, num_channels=1)
    track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
    publication = await room.local_participant.publish_track(track, options)

    async def speak() -> None:
        at = 0
        while True:
            wave = [int(20000 * math.sin(2 * math.pi * 440 * (at + i) / rate)) for i in range(samples)]
            await source.capture_frame(rtc.AudioFrame(array("h", wave).tobytes(), rate, 1, samples))
            at += samples

    speaking = asyncio.create_task(speak())
    try:
        yield
    finally:
        speaking.cancel()
        await room.local_participant.unpublish_track(publication.sid)


async def _first_loud_frame(track: rtc.RemoteTrack) -> int:
    """The peak of the first frame that is not silence."""
    stream = rtc.AudioStream(track)
    try:
        async for event in stream:
            if (peak := max(map(abs, event.frame.data), default=0)) > 1000:
                return int(peak)
    finally:
        await stream.aclose()
    raise AssertionError("the track ended in silence")


@pytest.mark.parametrize("file", [ROOT / "agenthost.yaml", SAMPLES / "echo" / "agenthost.yaml"], ids=["top", "echo"])
async def test_echo_sends_text_and_data_back(
    file: Path, run_host: RunHost, livekit_server: RealLiveKitServer, participant: Join, room_name: str
) -> None:
    """What a person writes comes back, to them, on the topic it was sent on."""
    await _run_sample(run_host, livekit_server, file)
    room = await participant(room_name)
    mailbox = Mailbox(room)
    (agent,) = await _agent_in(room)
    await room.local_participant.send_text("good morning", topic="lk.chat")
    assert await mailbox.text() == "good morning"
    await room.local_participant.publish_data(b"\x00\x01", topic="bytes")
    packet = await mailbox.packet()
    assert (packet.data, packet.topic, packet.participant) == (b"\x00\x01", "bytes", agent)


async def test_echo_answers_only_the_one_who_wrote(
    run_host: RunHost,
    livekit_server: RealLiveKitServer,
    livekit_api: api.LiveKitAPI,
    participant: Join,
    room_name: str,
) -> None:
    """Two people in one room each get their own words back.

    The agent comes when both are there: to livekit.rtc data of somebody whom it has not been told of yet is nobody's,
    and is dropped.
    """
    named = ("--set", "agent_name=echo")
    await _run_sample(run_host, livekit_server, SAMPLES / "echo" / "agenthost.yaml", 1, *named)
    ann, bob = await participant(room_name, "ann"), await participant(room_name, "bob")
    mailboxes = {"ann": Mailbox(ann), "bob": Mailbox(bob)}
    request = api.CreateAgentDispatchRequest(agent_name="echo", room=room_name)
    await livekit_api.agent_dispatch.create_dispatch(request)
    for person in (ann, bob):
        name = person.local_participant.identity
        agents = [agent.identity for agent in await _agent_in(person)]  # nobody named would be everybody
        await person.local_participant.publish_data(name.encode(), topic="t", destination_identities=agents)
    assert (await mailboxes["ann"].packet()).data == b"ann"
    assert (await mailboxes["bob"].packet()).data == b"bob"
    assert mailboxes["ann"].data.empty()
    assert mailboxes["bob"].data.empty()


async def test_audio_echo_plays_the_microphone_back(
    run_host: RunHost, livekit_server: RealLiveKitServer, participant: Join, room_name: str
) -> None:
    """A caller hears what they say, and the job ends when they hang up."""
    host = await _run_sample(run_host, livekit_server, SAMPLES / "audio_echo" / "agenthost.yaml")
    room = await participant(room_name)
    heard: asyncio.Queue[rtc.RemoteTrack] = asyncio.Queue()
    room.on("track_subscribed", lambda track, publication, sender: heard.put_nowait(track))
    await _agent_in(room)
    async with _speaking(room):
        echo = await asyncio.wait_for(heard.get(), SECONDS)
        assert await asyncio.wait_for(_first_loud_frame(echo), SECONDS) > 1000
    await room.disconnect()
    await host.wait_event("job ended", reason="the caller hung up")


async def test_level_meter_runs_one_job_per_publisher(
    run_host: RunHost, livekit_server: RealLiveKitServer, participant: Join, room_name: str
) -> None:
    """Each of two speakers has a meter of their own; a silent third has none."""
    host = await _run_sample(run_host, livekit_server, SAMPLES / "publisher" / "agenthost.yaml")
    ann, bob = await participant(room_name, "ann"), await participant(room_name, "bob")
    silent = await participant(room_name, "carol")
    mailboxes = {"ann": Mailbox(ann), "bob": Mailbox(bob)}
    async with _speaking(ann), _speaking(bob):
        for name, mailbox in mailboxes.items():
            report = await _loud_report(mailbox)
            assert report["identity"] == name
        assert sorted(agent.identity for agent in await _agent_in(silent, count=2)) == ["meter-ann", "meter-bob"]
    await ann.disconnect()
    await bob.disconnect()
    await host.wait_event("job ended", count=2)


async def _loud_report(mailbox: Mailbox) -> dict[str, Any]:
    """The first report that is not about the silence before the tone."""
    while True:
        packet = await mailbox.packet()
        report: dict[str, Any] = json.loads(packet.data)
        if report["level"] > 1000:
            return report


async def test_request_filter_serves_known_customers_under_their_name(
    run_host: RunHost,
    livekit_server: RealLiveKitServer,
    livekit_api: api.LiveKitAPI,
    participant: Join,
    room_name: str,
) -> None:
    """The handler's answer decides how the agent appears."""
    await _run_sample(run_host, livekit_server, SAMPLES / "request_filter" / "agenthost.yaml")
    await livekit_api.room.create_room(api.CreateRoomRequest(name=room_name, metadata='{"customer": "acme"}'))
    room = await participant(room_name)
    mailbox = Mailbox(room)
    (agent,) = await _agent_in(room)
    assert agent.name == "Support for ACME Inc."
    assert agent.attributes["customer"] == "acme"
    assert await mailbox.text() == "Welcome to the ACME Inc. help desk, caller."


async def test_request_filter_leaves_other_rooms_alone(
    run_host: RunHost, livekit_server: RealLiveKitServer, participant: Join, room_name: str
) -> None:
    """The rule refuses recordings, the handler strangers; both without a job."""
    host = await _run_sample(run_host, livekit_server, SAMPLES / "request_filter" / "agenthost.yaml")
    await participant(f"rec-{room_name}")
    await host.wait_event("offer rejected", rule="recordings")
    await participant(room_name)
    await host.wait_event("offer rejected", count=2)
    assert host.events("job accepted") == []


async def test_greeter_greets_everyone_and_calls_the_clerk(
    run_host: RunHost, livekit_server: RealLiveKitServer, participant: Join, room_name: str
) -> None:
    """One agent comes by itself, the other when it is asked for, and goes with its customer."""
    host = await _run_sample(run_host, livekit_server, SAMPLES / "several_agents" / "agenthost.yaml", registrations=2)
    room = await participant(room_name, "ann")
    mailbox = Mailbox(room)
    assert await mailbox.text() == "Hello ann! Write `clerk` to speak to somebody."
    await room.local_participant.send_text("clerk", topic="lk.chat")
    assert await mailbox.text() == "How can I help, ann?"
    await _agent_in(room, count=2)
    await room.disconnect()
    await host.wait_event("job ended", agent="clerk", reason="the customer left")
