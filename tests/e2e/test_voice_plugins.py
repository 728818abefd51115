"""Plugins and models that load something native, each on a real host: in a template, and in the jobs forked from it."""

import importlib.util
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.host import HostProcess
from tests.support.protocols import Join, RunHost
from tests.support.real_server import RealLiveKitServer
from tests.support.speech import speech
from tests.support.voice_client import RATE, VoiceClient

pytest.importorskip("livekit.agents")
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

SPEECH = speech(RATE)

# Models of real weights hear speech as it is spoken: without a processor, the next syllable interrupts each reply.
keeps_up = pytest.mark.quiet

CODE = """
import os
from livekit.agents import Agent, AgentServer, AgentSession, JobContext, cli
from livekit.agents.inference_runner import _InferenceRunner
from livekit.agents.voice.room_io import AudioInputOptions, RoomOptions
from agenthost.testing.voice_models import ScriptedLLM, ScriptedSTT, ToneTTS

server = AgentServer()
heard = dict(llm=ScriptedLLM({}, otherwise="heard: {text}"), stt=ScriptedSTT(["good morning"]), tts=ToneTTS())
"""


@pytest.fixture
def room_name() -> str:
    return f"room-{uuid.uuid4().hex[:8]}"


async def run(
    run_host: RunHost, server: RealLiveKitServer, folder: Path, code: str, *, models: bool, yaml: str = ""
) -> HostProcess:
    (folder / "my_agent.py").write_text(CODE + code)
    file = folder / "agenthost.yaml"
    file.write_text(
        "entrypoint: my_agent:server\nhttp: { listen: none }\nload: { max_jobs: 9 }\nnum_idle_processes: 1\n"
        f"limits: {{ init: 90s }}\nlog_level: DEBUG\n{yaml}"
    )
    env = {} if models else {"LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE": "0"}
    host = await run_host(file, server=server, env=env)
    await host.wait_event("registered", timeout=100)
    assert not host.events("forking is not safe")
    return host


@asynccontextmanager
async def answered_speech(join: Join, room: str) -> AsyncIterator[None]:
    """Somebody speaks: until the agent has answered, and as long as the block runs."""
    client = VoiceClient(await join(room))
    await client.agent()
    async with client.speaking(SPEECH):
        await client.heard("heard: good morning")
        yield


async def spoken_turn(join: Join, room: str) -> None:
    """Somebody speaks until the agent has answered."""
    async with answered_speech(join, room):
        pass


@keeps_up
async def test_silero_loaded_before_the_fork_hears_when_somebody_speaks(
    run_host: RunHost, livekit_server: RealLiveKitServer, participant: Join, room_name: str, tmp_path: Path
) -> None:
    """As their starter does it, in prewarm, and once for all when the module is imported; it alone ends the turn."""
    code = """
from livekit.plugins import silero

LENIENT = dict(activation_threshold=0.2, min_speech_duration=0.03)  # the voice of the tests is no person's

everybodys = silero.VAD.load(**LENIENT)

def prewarm(proc) -> None:
    proc.userdata["vad"] = silero.VAD.load(**LENIENT)

server.setup_fnc = prewarm

@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    vad = everybodys if ctx.room.name.endswith("-all") else ctx.proc.userdata["vad"]
    session = AgentSession(**heard, vad=vad, turn_detection="vad")
    session.on("user_state_changed", lambda event: print("user is", event.new_state, flush=True))
    await session.start(agent=Agent(instructions=""), room=ctx.room)
"""
    host = await run(run_host, livekit_server, tmp_path, code, models=False)
    for room in (room_name, f"{room_name}-all"):
        async with answered_speech(participant, room):
            await host.wait_event("user is speaking", room=room, timeout=30)  # not at every syllable of this voice


@keeps_up
async def test_the_default_models_of_a_session_work_in_forked_jobs(
    run_host: RunHost, livekit_server: RealLiveKitServer, participant: Join, room_name: str, tmp_path: Path
) -> None:
    """Voice activity and end of turn, as a session has them when nothing is said about them."""
    code = """
@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    session = AgentSession(**heard)
    print("turns by", type(session.turn_detection).__name__, "vad", type(session.vad).__name__, flush=True)
    await session.start(agent=Agent(instructions=""), room=ctx.room)
"""
    host = await run(run_host, livekit_server, tmp_path, code, models=True)
    await spoken_turn(participant, room_name)
    if importlib.util.find_spec("livekit.local_inference") is not None:
        assert [line for line in host.lines if line.message.startswith("turns by") and "NoneType" not in line.message]


@pytest.mark.parametrize(("imports", "where"), [("own", "here"), ("shared", "elsewhere")])
async def test_a_turn_detector_is_asked_over_the_jobs_executor(
    imports: str,
    where: str,
    run_host: RunHost,
    livekit_server: RealLiveKitServer,
    participant: Join,
    room_name: str,
    tmp_path: Path,
) -> None:
    """As livekit-plugins-turn-detector does it, with a stand-in for its weights: loaded by whom its code was."""
    code = """
import json

class Weights(_InferenceRunner):
    INFERENCE_METHOD = "stand_in_end_of_turn"

    def initialize(self) -> None:
        self.loaded_in = os.getpid()

    def run(self, data: bytes) -> bytes:
        print("asked", "elsewhere" if os.getpid() != self.loaded_in else "here", flush=True)
        return json.dumps({"eou_probability": 0.9, "input": json.loads(data)["chat_ctx"]}).encode()

_InferenceRunner.register_runner(Weights)

class Detector:
    model, provider = "stand-in", "test"

    def __init__(self, executor) -> None:
        self._executor = executor

    async def unlikely_threshold(self, language) -> float:
        return 0.1

    async def supports_language(self, language) -> bool:
        return True

    async def predict_end_of_turn(self, chat_ctx, *, timeout=None) -> float:
        asked = json.dumps({"chat_ctx": [item.text_content for item in chat_ctx.items if item.type == "message"]})
        answer = await self._executor.do_inference(Weights.INFERENCE_METHOD, asked.encode())
        return json.loads(answer)["eou_probability"]

@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    session = AgentSession(**heard, vad=None, turn_detection=Detector(ctx.inference_executor))
    await session.start(agent=Agent(instructions=""), room=ctx.room)
"""
    host = await run(run_host, livekit_server, tmp_path, code, models=False, yaml=f"imports: {imports}\n")
    await spoken_turn(participant, room_name)
    await host.wait_event(f"asked {where}", room=room_name)


async def test_noise_cancellation_that_loads_at_import_leaves_forking_alone(
    run_host: RunHost, livekit_server: RealLiveKitServer, participant: Join, room_name: str, tmp_path: Path
) -> None:
    """Its filter is loaded by each job for itself. A server without LiveKit's licence does not let it work: words come
    through all the same."""
    code = """
from livekit.plugins import noise_cancellation

@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    session = AgentSession(**heard, vad=None, turn_detection="stt")
    audio = AudioInputOptions(noise_cancellation=noise_cancellation.BVC())
    await session.start(agent=Agent(instructions=""), room=ctx.room, room_options=RoomOptions(audio_input=audio))
"""
    host = await run(run_host, livekit_server, tmp_path, code, models=False)
    await spoken_turn(participant, room_name)
    assert not host.events("job ended", room=room_name)
