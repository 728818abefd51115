"""The voice samples, each with its own file on a real server: in writing, and by sound."""

import asyncio
import time
import uuid
from pathlib import Path

import pytest

from tests.support.host import HostProcess
from tests.support.protocols import Join, RunHost
from tests.support.real_server import RealLiveKitServer
from tests.support.voice_client import RATE, VoiceClient, frames, is_loud

pytest.importorskip("livekit.agents")
from agenthost.testing.voice_models import tone

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(150)]

SAMPLES = Path(__file__).parents[2] / "samples"
TONE = tone(0.5, rate=RATE, hertz=300)


@pytest.fixture
def room_name() -> str:
    return f"room-{uuid.uuid4().hex[:8]}"


async def run_sample(run_host: RunHost, server: RealLiveKitServer, name: str) -> HostProcess:
    """Start it, on no fixed HTTP port, and without the brake that other tests may set off."""
    folder = SAMPLES / name
    changes = ["--set", "http.listen=127.0.0.1:0", "--set", "load.max_jobs=10", "--set", "num_idle_processes=0"]
    changes += ["--set", "limits.init=60s"]
    env = {"LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE": "0"}
    host = await run_host(folder / "agenthost.yaml", *changes, server=server, cwd=folder, env=env)
    await host.wait_event("registered", timeout=90)
    return host


async def test_starter_talks_in_writing(
    run_host: RunHost, livekit_server: RealLiveKitServer, participant: Join, room_name: str
) -> None:
    """Welcome, an answer of the model, and one of a tool."""
    await run_sample(run_host, livekit_server, "voice_starter")
    client = VoiceClient(await participant(room_name))
    await client.heard("Welcome!")
    await client.write("hello")
    await client.heard("how can I help")
    await client.write("and the weather?")
    await client.heard("sunny in Bern")


async def test_starter_hears_and_is_heard(
    run_host: RunHost, livekit_server: RealLiveKitServer, participant: Join, room_name: str
) -> None:
    """Speech becomes the stand-in's transcript, and the answer is a tone."""
    await run_sample(run_host, livekit_server, "voice_starter")
    client = VoiceClient(await participant(room_name))
    await client.heard("Welcome!")
    async with client.speaking(TONE):
        await asyncio.sleep(1.0)  # so long somebody speaks
    await client.heard("how can I help")
    await _until(client, loud=True)


@pytest.mark.quiet
async def test_starter_falls_silent_when_it_is_interrupted(
    run_host: RunHost, livekit_server: RealLiveKitServer, participant: Join, room_name: str
) -> None:
    """Its story is a tone of six seconds; it stops long before that when somebody speaks."""
    await run_sample(run_host, livekit_server, "voice_starter")
    client = VoiceClient(await participant(room_name))
    await client.heard("Welcome!")
    await client.write("tell me a story")
    await _until(client, loud=True)
    began = time.monotonic()
    async with client.speaking(TONE):
        await _until(client, loud=False)
    assert time.monotonic() - began < 4.0


async def test_handoff_knows_what_the_first_agent_was_told(
    run_host: RunHost, livekit_server: RealLiveKitServer, participant: Join, room_name: str
) -> None:
    """Tools change the session's userdata, and one of them changes the agent."""
    await run_sample(run_host, livekit_server, "voice_handoff")
    client = VoiceClient(await participant(room_name))
    await client.heard("Who is calling?")
    await client.write("I am Ada")
    await client.heard("What would you like, Ada?")
    await client.write("tea, please")
    await client.heard("2 cups of tea for Ada.")


async def test_translator_has_a_session_for_each_person(
    run_host: RunHost, livekit_server: RealLiveKitServer, participant: Join, room_name: str
) -> None:
    """What one says the other reads in their language."""
    await run_sample(run_host, livekit_server, "voice_translator")
    ann = VoiceClient(await participant(room_name, "ann"))
    bert = VoiceClient(await participant(room_name, "bert", attributes={"language": "de"}))
    await ann.agent()
    async with ann.speaking(TONE):
        await asyncio.sleep(1.0)
    await bert.heard("Guten Morgen")
    async with bert.speaking(TONE):
        await asyncio.sleep(1.0)
    await ann.heard("Good morning")


async def _until(client: VoiceClient, *, loud: bool) -> None:
    """Listen until the agent makes a sound, or has made none for 0.3 s."""
    quiet = 0
    async with asyncio.timeout(15):
        async for samples in frames(await client.track):
            quiet = 0 if is_loud(samples) else quiet + 1
            if (loud and not quiet) or (not loud and quiet >= 30):
                return
