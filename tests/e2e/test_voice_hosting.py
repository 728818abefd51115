"""Code for livekit-agents on a real host and a real server: every way it is written, and what is taken over from it."""

import textwrap
import uuid
from pathlib import Path

import pytest
from livekit import api

from tests.support.host import HostProcess
from tests.support.protocols import Join, RunHost
from tests.support.real_server import RealLiveKitServer
from tests.support.voice_client import VoiceClient

pytest.importorskip("livekit.agents")
pytestmark = pytest.mark.e2e

STARTER = (Path(__file__).parents[2] / "samples" / "voice_starter" / "my_agent.py").read_text()

SESSION = """
from livekit.agents import Agent, AgentServer, AgentSession, JobContext, JobRequest, WorkerOptions, cli
from livekit.agents.voice.room_io import RoomOptions
from livekit.agents.worker import WorkerPermissions
from agenthost.testing.voice_models import ScriptedLLM

async def entrypoint(ctx: JobContext) -> None:
    session = AgentSession(llm=ScriptedLLM({}, otherwise=ctx.proc.userdata.get("greeting", "heard: {text}")))
    await session.start(agent=Agent(instructions=""), room=ctx.room, room_options=RoomOptions(audio_output=False))

def prewarm(proc):
    proc.userdata["greeting"] = "prewarmed: {text}"
"""
"""The functions that each form below hands to livekit-agents in its own way."""

GUARDED = 'if __name__ == "__main__":\n    cli.run_app('

FORMS = {
    "server": ("my_agent:server", "server = AgentServer(setup_fnc=prewarm)\nserver.rtc_session(entrypoint)"),
    "options": ("my_agent:options", "options = WorkerOptions(entrypoint_fnc=entrypoint, prewarm_fnc=prewarm)"),
    "session": ("my_agent:entrypoint", "server = AgentServer(setup_fnc=prewarm)\nserver.rtc_session(entrypoint)"),
    "module": ("my_agent", "own_server = AgentServer(setup_fnc=prewarm)\nown_server.rtc_session(entrypoint)"),
    "script": (
        "my_agent.py",
        f"{GUARDED}WorkerOptions(entrypoint_fnc=entrypoint, prewarm_fnc=prewarm))",
    ),
    "script without run_app": ("my_agent.py", "app = AgentServer(setup_fnc=prewarm)\napp.rtc_session(entrypoint)"),
}


@pytest.fixture
def room_name() -> str:
    return f"room-{uuid.uuid4().hex[:8]}"


def write(folder: Path, code: str, entrypoint: str, yaml: str = "") -> Path:
    """An agenthost file beside `my_agent.py`, whose code follows SESSION."""
    (folder / "my_agent.py").write_text(SESSION + textwrap.dedent(code))
    file = folder / "agenthost.yaml"
    text = f"version: 1\nentrypoint: {entrypoint}\nhttp: {{ listen: none }}\nnum_idle_processes: 1\n"
    file.write_text(text + textwrap.dedent(yaml))
    return file


async def run(run_host: RunHost, server: RealLiveKitServer, file: Path) -> HostProcess:
    host = await run_host(file, server=server, cwd=file.parent, env={"LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE": "0"})
    await host.wait_event("registered", timeout=40)
    return host


@pytest.mark.parametrize("form", FORMS)
async def test_every_way_it_is_written_runs(
    form: str,
    run_host: RunHost,
    livekit_server: RealLiveKitServer,
    livekit_api: api.LiveKitAPI,
    participant: Join,
    room_name: str,
    tmp_path: Path,
) -> None:
    """The agent answers, with what its prewarm left."""
    entrypoint, code = FORMS[form]
    agent = f"agent-{uuid.uuid4().hex[:8]}"
    host = await run(run_host, livekit_server, write(tmp_path, code, entrypoint, f"agent_name: {agent}"))
    client = VoiceClient(await participant(room_name))
    await livekit_api.agent_dispatch.create_dispatch(api.CreateAgentDispatchRequest(agent_name=agent, room=room_name))
    await host.wait_event("job connected", room=room_name)
    await client.agent()
    await client.write("good morning")
    await client.heard("prewarmed: good morning")
