"""`session_host`: who reads and drives a session of livekit-agents over its topic, in rooms of the real server."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import pytest
from livekit import api, rtc

from agenthost.control.client import ControlClient
from agenthost.control.location import default_path
from agenthost.errors import AgentHostError
from agenthost.status import Guest
from tests.support.host import HostProcess
from tests.support.job_process import Fork, JobProcess
from tests.support.protocols import Join, RunHost
from tests.support.real_server import RealLiveKitServer
from tests.support.session_client import SessionClient
from tests.support.voice_client import VoiceClient

pytest.importorskip("livekit.agents")
pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

THEIRS = """
from livekit.agents import Agent, AgentServer, AgentSession, JobContext
from livekit.agents.voice.room_io import RoomOptions
from agenthost.testing.voice_models import ScriptedLLM

WRITTEN = RoomOptions(audio_input=False, audio_output=False, participant_identity="caller")

server = AgentServer()

@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    await ctx.connect()
    session = AgentSession(llm=ScriptedLLM({}, otherwise=ctx.job.metadata + "heard: {text}"), vad=None)
    await session.start(agent=Agent(instructions="the system prompt"), room=ctx.room, room_options=WRITTEN)
"""

OURS = """
from agenthost import JobContext
from livekit.agents import Agent, AgentSession
from livekit.agents.voice.room_io import RoomOptions
from agenthost.testing.voice_models import ScriptedLLM

WRITTEN = RoomOptions(audio_input=False, audio_output=False, participant_identity="caller")

async def entrypoint(ctx: JobContext) -> None:
    await ctx.connect()
    session = AgentSession(llm=ScriptedLLM({}, otherwise=ctx.job.metadata + "heard: {text}"), vad=None)
    await session.start(agent=Agent(instructions="the system prompt"), room=ctx.room, room_options=WRITTEN)
"""

CODE = {"theirs": (THEIRS, "agent:server"), "ours": (OURS, "agent:entrypoint")}


class Enter(Protocol):
    """`await enter(url, token)`: see the fixture."""

    async def __call__(self, url: str, token: str) -> rtc.Room: ...


@pytest.fixture
async def enter() -> AsyncIterator[Enter]:
    """Join a room with a token; everybody leaves at the end."""
    async with AsyncExitStack() as stack:

        async def join(url: str, token: str) -> rtc.Room:
            room = rtc.Room()
            stack.push_async_callback(room.disconnect)
            await room.connect(url, token)
            return room

        yield join


@pytest.fixture
def room_name() -> str:
    return f"room-{uuid.uuid4().hex[:8]}"


def listener_token(server: RealLiveKitServer, room: str) -> str:
    """For somebody who may do nothing there."""
    token = api.AccessToken(server.api_key, server.api_secret).with_identity("listener")
    grants = api.VideoGrants(room_join=True, room=room, can_publish=False, can_subscribe=False, can_publish_data=False)
    return token.with_grants(grants).to_jwt()


async def end(process: JobProcess, *witnesses: SessionClient) -> None:
    """End the job; whatever it said has reached everybody by then."""
    process.stop("enough")
    await asyncio.to_thread(process.rest)
    async with asyncio.timeout(15):
        for one in witnesses:
            await one.gone.wait()


async def harass(stranger: SessionClient) -> None:
    """Everything a stranger would ask."""
    await stranger.send(get_agent_info={})
    await stranger.send(get_chat_history={})
    await stranger.send(run_input={"text": "the stranger's words"})


@pytest.mark.parametrize("code", CODE)
@pytest.mark.parametrize("mode", ["off", "own"])
async def test_strangers_get_nothing_and_ask_nothing(
    code: str,
    mode: str,
    run_job: Fork,
    participant: Join,
    livekit_server: RealLiveKitServer,
    enter: Enter,
    room_name: str,
) -> None:
    """Neither one that may send data, nor one without any right, who needs none to listen. The call goes on."""
    text, entrypoint = CODE[code]
    caller = VoiceClient(await participant(room_name))
    process = run_job(room_name, text, entrypoint=entrypoint, start={"session_host": mode})
    await caller.agent()
    await caller.write_until_heard("hello", "heard: hello")
    stranger = SessionClient(await participant(room_name, "stranger"))
    listener = SessionClient(await enter(livekit_server.url, listener_token(livekit_server, room_name)))
    await harass(stranger)
    await caller.write("and again")
    heard = [await caller.said.get()]
    while "heard: and again" not in heard:
        heard.append(await caller.said.get())
    await end(process, stranger, listener)
    assert stranger.got == listener.got == []
    assert not [said for said in heard if "stranger" in said]


async def test_room_is_the_way_of_livekit_agents(run_job: Fork, participant: Join, room_name: str) -> None:
    """Everybody who may send data asks; everybody hears."""
    caller = VoiceClient(await participant(room_name))
    process = run_job(room_name, THEIRS, entrypoint="agent:server", start={"session_host": "room"})
    await caller.agent()
    other = SessionClient(await participant(room_name, "other"))
    assert (await other.ask(get_agent_info={})).get_agent_info.instructions == "the system prompt"
    await caller.write_until_heard("hello", "heard: hello")
    await other.event("conversation_item_added", "heard: hello")
    await end(process, other)


async def dispatch(host: HostProcess, lk_api: api.LiveKitAPI, room: str, metadata: str = "") -> None:
    """Have the agent that is called as the room is join it."""
    request = api.CreateAgentDispatchRequest(agent_name=room, room=room, metadata=metadata)
    await lk_api.agent_dispatch.create_dispatch(request)
    await host.wait_event("job connected", room=room, count=2 if metadata else 1)


@pytest.fixture
async def own_host(
    run_host: RunHost, livekit_server: RealLiveKitServer, tmp_path: Path, room_name: str
) -> tuple[HostProcess, ControlClient]:
    """A host whose agent, called as the room, is for its guests."""
    (tmp_path / "agent.py").write_text(THEIRS)
    file = tmp_path / "agenthost.yaml"
    file.write_text(
        f"version: 1\nagent_name: {room_name}\nentrypoint: agent:server\nsession_host: own\nhttp: {{ listen: none }}\n"
        "load: { max_jobs: 5 }\nlimits: { init: 60s }\n"
    )
    runtime = {"XDG_RUNTIME_DIR": str(tmp_path)}
    env = runtime | {"LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE": "0"}
    host = await run_host(file, server=livekit_server, env=env)
    await host.wait_event("host started", timeout=90)
    return host, ControlClient(default_path(file, runtime))


async def invite(control: ControlClient, room: str) -> Guest:
    return await asyncio.to_thread(control.invite, room)


async def test_guests_of_the_host_ask_and_hear(
    own_host: tuple[HostProcess, ControlClient],
    livekit_api: api.LiveKitAPI,
    participant: Join,
    enter: Enter,
    room_name: str,
) -> None:
    """Those invited before the job began and while it runs; what they hear nobody else does."""
    host, control = own_host
    early = await invite(control, room_name)
    caller = VoiceClient(await participant(room_name))
    stranger = SessionClient(await participant(room_name, "guest-stranger"))
    first = SessionClient(await enter(early.url, early.token))
    await dispatch(host, livekit_api, room_name)
    assert (await first.ask(get_agent_info={})).get_agent_info.instructions == "the system prompt"
    late = await invite(control, room_name)
    second = SessionClient(await enter(late.url, late.token))
    assert late.identity != early.identity
    await second.ask(ping={})
    await harass(stranger)
    await caller.write_until_heard("hello", "heard: hello")
    for guest in (first, second):
        await guest.event("conversation_item_added", "heard: hello")
    await second.ask(run_input={"text": "words of a guest"})
    await first.event("conversation_item_added", "heard: words of a guest")
    await asyncio.to_thread(control.stop, now=True)
    for one in (first, stranger):
        async with asyncio.timeout(15):
            await one.gone.wait()
    assert stranger.got == []
    assert "stranger" not in str(first.got)


async def test_an_identity_is_good_for_the_first_who_has_it(
    own_host: tuple[HostProcess, ControlClient],
    livekit_api: api.LiveKitAPI,
    livekit_server: RealLiveKitServer,
    participant: Join,
    enter: Enter,
    room_name: str,
) -> None:
    """Once the guest is there the room reads its name, and a front end may give that to anybody: the next has nothing.

    Also with the agent that comes next, which never saw the guest.
    """
    host, control = own_host
    invited = await invite(control, room_name)
    caller = VoiceClient(await participant(room_name))
    await dispatch(host, livekit_api, room_name)
    guest = SessionClient(await enter(invited.url, invited.token))
    await guest.ask(ping={})
    thief = SessionClient(await participant(room_name, invited.identity))
    await harass(thief)
    await caller.write_until_heard("hello", "heard: hello")
    await dispatch(host, livekit_api, room_name, "second ")
    await caller.write_until_heard("again", "second heard: again")
    await harass(thief)
    await caller.write_until_heard("and again", "second heard: and again")
    await asyncio.to_thread(control.stop, now=True)
    async with asyncio.timeout(15):
        await thief.gone.wait()
    assert thief.got == []


async def test_a_guest_is_of_one_room(own_host: tuple[HostProcess, ControlClient], enter: Enter) -> None:
    """The server lets nobody in elsewhere: what is minted is for the room that was named, and that must be."""
    _, control = own_host
    guest = await invite(control, "a room & more")
    room = await enter(guest.url, guest.token)
    assert (room.name, room.local_participant.identity) == ("a room & more", guest.identity)
    with pytest.raises(AgentHostError, match="name the room"):
        await invite(control, "")


async def test_what_the_other_topics_show_to_whom(
    run_job: Fork, participant: Join, livekit_server: RealLiveKitServer, enter: Enter, room_name: str
) -> None:
    """As ever: both sides' words go to everybody in the room, and the agent listens to its own caller alone."""
    caller = VoiceClient(await participant(room_name))
    process = run_job(room_name, THEIRS, entrypoint="agent:server")
    await caller.agent()
    stranger = VoiceClient(await participant(room_name, "stranger"))
    listener = VoiceClient(await enter(livekit_server.url, listener_token(livekit_server, room_name)))
    await caller.write_until_heard("hello", "heard: hello")
    await listener.heard("heard: hello")
    await stranger.write("the stranger's words")
    await caller.write("and again")
    assert "stranger" not in await caller.heard("heard: and again")
    await end(process)
    assert not [said for said in drained(caller.said) if "stranger" in said]


def drained(said: "asyncio.Queue[str]") -> list[str]:
    return [said.get_nowait() for _ in range(said.qsize())]
