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


WATCHED = '''
import ssl
import sys

from agenthost.testing.voice_models import ScriptedLLM, ToneTTS, ToolCall
from livekit.agents import Agent, AgentServer, AgentSession, JobContext, JobProcess, function_tool
from livekit.agents.llm import ChatMessage

late = None


def prewarm(proc: JobProcess) -> None:
    global late
    late = open("late", "w", buffering=1)
    if not ChatMessage.__pydantic_complete__:
        print("ChatMessage", file=late)


class Imports:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if late:
            print(name, file=late)


def watched(*arguments, **options):
    if late:
        print("certificates", file=late)
    return create(*arguments, **options)


create, ssl.create_default_context = ssl.create_default_context, watched
sys.meta_path.insert(0, Imports)
server = AgentServer(setup_fnc=prewarm)


@function_tool
async def look_up() -> str:
    """Look up the weather."""
    return "It rains."


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    session = AgentSession(llm=ScriptedLLM({"weather": ToolCall(name="look_up")}), tts=ToneTTS())
    await session.start(agent=Agent(instructions="Be brief.", tools=[look_up]), room=ctx.room)
    reply = session.generate_reply(user_input="the weather?")
    await reply
    ctx.shutdown(reply.chat_items[-1].text_content)
'''


async def test_session_makes_nothing_that_its_template_could_have_made(
    run_job: Fork, participant: Join, room_name: str, tmp_path: Path
) -> None:
    """Modules, certificates, schemas: each call's loop would stand still for them, and its memory be larger."""
    await participant(room_name)
    ended = run_job(room_name, WATCHED, entrypoint="agent:server").end()
    assert (ended.kind, ended.reason) == ("succeeded", "It rains.")
    assert (tmp_path / "late").read_text() == ""
