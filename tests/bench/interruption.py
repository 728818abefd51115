"""`python -m tests.bench.interruption`: how long an agent goes on speaking when somebody speaks, under either host.

The same livekit-agents file, the same real server, one room after the other. From the first loud sample of the person
to the last loud one that the person hears of the agent: the network, both codecs and what livekit-agents waits for are
in both columns.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from livekit import api, rtc
from rich.console import Console
from rich.table import Table

from agenthost.livekit_server.build import ensure_installed
from agenthost.testing.voice_models import tone
from tests.bench.subjects import AGENTS, Running, Subject
from tests.bench.voice import dispatch, notes, registered, running, subjects
from tests.support.real_server import RealLiveKitServer
from tests.support.voice_client import RATE, VoiceClient, frames, is_loud

ROUNDS = 8
QUIET_FRAMES = 50  # of 10 ms: the agent has stopped
SECONDS = 20.0


def interrupted(subject: Subject) -> Subject:
    """The same host with the agent that is interrupted; no local models, since the stand-ins need none."""
    names = {"voice.yaml": "interrupted.yaml", "voice_agent.py": "interrupted_agent.py"}
    *start, file = subject.argv
    return replace(subject, argv=(*start, str(AGENTS / names[Path(file).name])))


async def measure(subject: Subject, folder: Path, server: RealLiveKitServer) -> list[float]:
    """Milliseconds, one a round."""
    async with api.LiveKitAPI(server.url, server.api_key, server.api_secret) as client:
        with running(subject, folder, server, idle=0, hold=0.0) as host:
            await registered(client, host, folder.name)
            return [await one(client, host, f"{folder.name}-{number}", server) for number in range(ROUNDS)]


async def one(client: api.LiveKitAPI, host: Running, name: str, server: RealLiveKitServer) -> float:
    token = api.AccessToken(server.api_key, server.api_secret).with_identity("person")
    room = rtc.Room()
    person = VoiceClient(room)
    try:
        await room.connect(server.url, token.with_grants(api.VideoGrants(room_join=True, room=name)).to_jwt())
        before = len(host.notes("joined"))
        await dispatch(client, name)
        await notes(host, "joined", before + 1)
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


async def main() -> int:
    binary = await ensure_installed(lambda step, detail: None)
    table = Table("", "p50, ms", "least", "most")
    with tempfile.TemporaryDirectory() as name, RealLiveKitServer(binary, Path(name)) as server:
        for number, subject in enumerate(each for each in subjects() if "no local models" in each.name):
            took = await measure(interrupted(subject), Path(name) / f"subject-{number}", server)
            table.add_row(subject.name, *(f"{value:.0f}" for value in (statistics.median(took), min(took), max(took))))
    Console(width=120).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
