"""Code for livekit-agents on a real host and a real server: every way it is written, and what is taken over from it."""

import textwrap
import uuid
from pathlib import Path

import pytest
from livekit import api

from tests.support.host import HostProcess
from tests.support.protocols import Join, RunHost
from tests.support.real_server import RealLiveKitServer
from tests.support.voice_client import RATE, VoiceClient

pytest.importorskip("livekit.agents")
from agenthost.testing.voice_models import tone

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

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
    keys = {"version": "1", "entrypoint": entrypoint, "http": "{ listen: none }", "num_idle_processes": "1"}
    keys |= {"load": "{ max_jobs: 20 }", "limits": "{ init: 60s }"}  # other tests may use all of the cpu
    file.write_text("".join(f"{key}: {value}\n" for key, value in keys.items()) + textwrap.dedent(yaml))
    return file


async def run(run_host: RunHost, server: RealLiveKitServer, file: Path) -> HostProcess:
    host = await run_host(file, server=server, cwd=file.parent, env={"LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE": "0"})
    await host.wait_event("registered", timeout=90)
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


async def test_what_the_code_says_is_what_is_hosted(
    run_host: RunHost,
    livekit_server: RealLiveKitServer,
    livekit_api: api.LiveKitAPI,
    participant: Join,
    room_name: str,
    tmp_path: Path,
) -> None:
    """Name, permissions and request function come from the code; the file, which says nothing, adds nothing."""
    agent = f"agent-{uuid.uuid4().hex[:8]}"
    code = f"""
    async def request(req: JobRequest) -> None:
        if "secret" in req.room.name:
            await req.reject()
        await req.accept(name="Ada", identity="ada-" + req.id, attributes={{"mood": "good"}})

    server = AgentServer(permissions=WorkerPermissions(can_update_metadata=False))
    server.rtc_session(entrypoint, agent_name="{agent}", on_request=request)
    """
    host = await run(run_host, livekit_server, write(tmp_path, code, "my_agent:server"))
    assert host.events("registered")[0].fields["agent_name"] == agent
    client = VoiceClient(await participant(room_name))
    dispatch = api.CreateAgentDispatchRequest(agent_name=agent, room=room_name)
    await livekit_api.agent_dispatch.create_dispatch(dispatch)
    ada = await client.agent()
    assert (ada.name, ada.attributes["mood"], ada.attributes["lk.agent.name"]) == ("Ada", "good", agent)
    assert ada.identity.startswith("ada-AJ_")
    assert not ada.permissions.can_update_metadata


async def test_a_session_for_each_that_publishes(
    run_host: RunHost,
    livekit_server: RealLiveKitServer,
    participant: Join,
    room_name: str,
    tmp_path: Path,
) -> None:
    """`type=ServerType.PUBLISHER` of the code: the job is there when somebody speaks, and is told who."""
    code = """
    from livekit.agents import WorkerType

    server = AgentServer()

    @server.rtc_session(type=WorkerType.PUBLISHER)
    async def listen(ctx: JobContext) -> None:
        await ctx.connect()
        raise ValueError("for " + ctx.job.participant.identity)
    """
    host = await run(run_host, livekit_server, write(tmp_path, code, "my_agent:server"))
    await participant(room_name, "silent")
    client = VoiceClient(await participant(room_name, "speaker"))
    async with client.speaking(tone(0.5, rate=RATE, hertz=300)):
        ended = await host.wait_event("job ended", room=room_name)
    assert ended.fields["error"] == "ValueError: for speaker"
    assert len(host.events("job accepted", room=room_name)) == 1


async def test_an_entrypoint_that_raises_fails_its_job(
    run_host: RunHost,
    livekit_server: RealLiveKitServer,
    participant: Join,
    room_name: str,
    tmp_path: Path,
) -> None:
    """livekit-agents itself would tell the server that all went well."""
    code = """
    server = AgentServer()

    @server.rtc_session()
    async def broken(ctx: JobContext) -> None:
        await ctx.connect()
        raise ValueError("no prompt for " + ctx.room.name)
    """
    host = await run(run_host, livekit_server, write(tmp_path, code, "my_agent:server"))
    await participant(room_name)
    ended = await host.wait_event("job ended", room=room_name)
    assert (ended.fields["outcome"], ended.fields["error"]) == ("failed", f"ValueError: no prompt for {room_name}")
    assert "my_agent.py" in ended.fields["traceback"]


async def test_jobs_and_their_import_see_the_pair(
    run_host: RunHost,
    livekit_server: RealLiveKitServer,
    participant: Join,
    room_name: str,
    tmp_path: Path,
) -> None:
    """They find it where LiveKit's libraries look; the log says so once."""
    code = """
    import os
    seen = {"import": "LIVEKIT_API_SECRET" in os.environ}

    def look(proc):
        seen["prewarm"] = "LIVEKIT_API_SECRET" in os.environ

    server = AgentServer(setup_fnc=look)

    @server.rtc_session()
    async def tell(ctx: JobContext) -> None:
        await ctx.connect()
        rooms = await ctx.api.room.list_rooms(__import__("livekit.api").api.ListRoomsRequest(names=[ctx.room.name]))
        seen["entrypoint"] = "LIVEKIT_API_SECRET" in os.environ
        raise ValueError(str((seen, len(rooms.rooms))))
    """
    host = await run(run_host, livekit_server, write(tmp_path, code, "my_agent:server"))
    await participant(room_name)
    ended = await host.wait_event("job ended", room=room_name)
    assert ended.fields["error"] == "ValueError: ({'import': True, 'prewarm': True, 'entrypoint': True}, 1)"
    assert len(host.events("jobs see the API key and secret")) == 1


@pytest.mark.parametrize("withheld", [False, True])
async def test_a_script_that_loads_the_url_of_another_server_stays_on_the_hosts(
    withheld: bool,
    run_host: RunHost,
    livekit_server: RealLiveKitServer,
    participant: Join,
    room_name: str,
    tmp_path: Path,
) -> None:
    """As `load_dotenv(".env.local", override=True)` does at import: prewarm, job and `ctx.api` do not follow it."""
    code = """
    import os
    from livekit.api import ListParticipantsRequest

    names = ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")
    os.environ.update(dict.fromkeys(names, "wss://other.example.invalid"))
    server = AgentServer()

    def look(proc):
        proc.userdata["seen"] = [os.environ[name] for name in names]

    server.setup_fnc = look

    @server.rtc_session()
    async def tell(ctx: JobContext) -> None:
        await ctx.connect()
        found = await ctx.api.room.list_participants(ListParticipantsRequest(room=ctx.room.name))
        raise ValueError(str((len(found.participants), *ctx.proc.userdata["seen"])))
    """
    yaml = "livekit: { secret_in_jobs: false }" if withheld else ""
    host = await run(run_host, livekit_server, write(tmp_path, code, "my_agent:server", yaml))
    await participant(room_name)
    ended = await host.wait_event("job ended", room=room_name)
    mine = (livekit_server.url, livekit_server.api_key, livekit_server.api_secret)
    seen = ("wss://other.example.invalid",) * 3 if withheld else mine
    assert ended.fields["error"] == f"ValueError: {(2, *seen)}"


async def test_without_the_pair_a_refused_call_says_which_grant_is_missing(
    run_host: RunHost,
    livekit_server: RealLiveKitServer,
    participant: Join,
    room_name: str,
    tmp_path: Path,
) -> None:
    """As for native code: the token is the host's, and its grants are a key of the file."""
    code = """
    server = AgentServer()

    @server.rtc_session()
    async def tell(ctx: JobContext) -> None:
        await ctx.connect()
        await ctx.api.room.list_rooms(__import__("livekit.api").api.ListRoomsRequest())
    """
    yaml = "livekit: { secret_in_jobs: false }"
    host = await run(run_host, livekit_server, write(tmp_path, code, "my_agent:server", yaml))
    await participant(room_name)
    ended = await host.wait_event("job ended", room=room_name)
    assert "ListRooms needs `room_list`" in ended.fields["error"]
    assert "write `livekit.job_grants: [" in ended.fields["error"]
    assert f"in {tmp_path / 'agenthost.yaml'}" in ended.fields["error"]


async def test_a_room_of_its_own_counts(
    run_host: RunHost,
    livekit_server: RealLiveKitServer,
    livekit_api: api.LiveKitAPI,
    participant: Join,
    room_name: str,
    tmp_path: Path,
) -> None:
    """Code that joins by itself has joined: the job is told as connected, and ends with that room."""
    code = """
    from livekit import rtc
    server = AgentServer()

    @server.rtc_session()
    async def join(ctx: JobContext) -> None:
        room = rtc.Room()
        await room.connect(ctx._info.url, ctx._info.token)
    """
    host = await run(run_host, livekit_server, write(tmp_path, code, "my_agent:server"))
    await participant(room_name)
    await host.wait_event("job connected", room=room_name)
    await livekit_api.room.delete_room(api.DeleteRoomRequest(room=room_name))
    ended = await host.wait_event("job ended", room=room_name)
    assert (ended.fields["outcome"], ended.fields["reason"]) == ("succeeded", "room deleted")


async def test_the_file_can_withhold_the_pair(
    run_host: RunHost,
    livekit_server: RealLiveKitServer,
    participant: Join,
    room_name: str,
    tmp_path: Path,
) -> None:
    """`ctx.api` works all the same, on a token of the host, which allows what concerns the job's room."""
    code = """
    import os
    server = AgentServer()

    @server.rtc_session()
    async def tell(ctx: JobContext) -> None:
        await ctx.connect()
        found = await ctx.api.room.list_participants(
            __import__("livekit.api").api.ListParticipantsRequest(room=ctx.room.name)
        )
        raise ValueError(str(("LIVEKIT_API_SECRET" in os.environ, len(found.participants))))
    """
    yaml = "livekit: { secret_in_jobs: false }"
    host = await run(run_host, livekit_server, write(tmp_path, code, "my_agent:server", yaml))
    await participant(room_name)
    ended = await host.wait_event("job ended", room=room_name)
    assert ended.fields["error"] == "ValueError: (False, 2)"
    assert not host.events("jobs see the API key and secret")
