"""How long an agent goes on speaking when somebody speaks, under either host; a part of `tests.bench.voice`.

The same livekit-agents file, one room after the other. From the first loud sample of the person to the last loud one
that the person hears of the agent: the network, both codecs and what livekit-agents waits for are in both columns.
"""

import asyncio
import time
from dataclasses import replace
from pathlib import Path

from livekit import api, rtc

from agenthost.testing.voice_models import tone
from tests.bench.measure import Samples
from tests.bench.rooms import dispatch, notes, registered
from tests.bench.subjects import AGENTS, Running, Subject
from tests.support.real_server import RealLiveKitServer
from tests.support.voice_client import RATE, VoiceClient, frames, is_loud

ROUNDS = 8
QUIET_FRAMES = 50  # of 10 ms: the agent has stopped
SECONDS = 20.0


async def measure_interruption(subject: Subject, folder: Path, binary: Path) -> Samples:
    """Milliseconds, one a room."""
    with (
        RealLiveKitServer(binary, folder) as server,
        Running(interrupted(subject), folder, server.environment, idle=0, hold=0.0, join=True) as running,
    ):
        async with api.LiveKitAPI(server.url, server.api_key, server.api_secret) as client:
            await registered(client, running)
            return {"interruption": [await one(client, running, f"room-{n}", server) for n in range(ROUNDS)]}


def interrupted(subject: Subject) -> Subject:
    """The same host with the agent that is interrupted."""
    names = {"voice.yaml": "interrupted.yaml", "voice_agent.py": "interrupted_agent.py"}
    *start, file = subject.argv
    return replace(subject, argv=(*start, str(AGENTS / names[Path(file).name])))


async def one(client: api.LiveKitAPI, running: Running, name: str, server: RealLiveKitServer) -> float:
    token = api.AccessToken(server.api_key, server.api_secret).with_identity("person")
    room = rtc.Room()
    person = VoiceClient(room)
    try:
        await room.connect(server.url, token.with_grants(api.VideoGrants(room_join=True, room=name)).to_jwt())
        before = len(running.notes("joined"))
        await dispatch(client, name)
        await notes(running, "joined", before + 1)
        async with asyncio.timeout(SECONDS):
            return await interrupt(person)
    finally:
        await room.disconnect()


async def interrupt(person: VoiceClient) -> float:
    async for samples in frames(await person.track):
        if is_loud(samples):
            break
    async with person.speaking(tone(0.5, rate=RATE, hertz=300)):
        began = last = time.monotonic()
        quiet = 0
        async for samples in frames(await person.track):
            quiet = 0 if is_loud(samples) else quiet + 1
            last = last if quiet else time.monotonic()
            if quiet >= QUIET_FRAMES:
                break
    return 1000 * (last - began)
