"""Sessions of livekit-agents in rooms of the real server, in job processes of ours."""

import uuid
from pathlib import Path

import pytest

from tests.support.job_process import Fork
from tests.support.protocols import Join
from tests.support.voice_client import VoiceClient

pytest.importorskip("livekit.agents")
pytestmark = pytest.mark.e2e

STARTER = (Path(__file__).parents[2] / "samples" / "voice_starter" / "my_agent.py").read_text()


@pytest.fixture
def room_name() -> str:
    return f"room-{uuid.uuid4().hex[:8]}"


async def test_session_answers_in_writing(run_job: Fork, participant: Join, room_name: str) -> None:
    """A turn over `lk.chat` comes back over `lk.transcription`; tools are called; the job ends with its room."""
    room = await participant(room_name)
    client = VoiceClient(room)
    process = run_job(room_name, STARTER, entrypoint="agent:server")
    await client.heard("Welcome!")
    await client.write("hello")
    await client.heard("how can I help")
    await client.write("what is the weather like?")
    await client.heard("sunny in Bern")
    process.stop("enough")
    ended = process.end()
    assert (ended.kind, ended.reason) == ("stopped", "enough")
