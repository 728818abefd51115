"""One example under `agenthost dev`, with a caller in its room: `visit`. Runs in the process of the command."""

import asyncio
import uuid
from collections.abc import Mapping
from pathlib import Path

from livekit import api, rtc
from msgspec import Struct

from agenthost.testing.host_process import HostProcess, LogLine
from tests.examples.listed import Stage
from tests.examples.stand_in_models import StandInModels
from tests.support.real_server import RealLiveKitServer
from tests.support.speech import speech
from tests.support.voice_client import RATE, VoiceClient

START_SECONDS = 60.0
SESSION_SECONDS = 60.0  # one that builds an index of its documents takes half of that
SPOKEN_SECONDS = 2.5
ANSWER_SECONDS = 5.0
END_SECONDS = 90.0  # more than `limits.unresponsive`

# What examples want to have in their environment; none of it is worth anything.
WANTED = (
    *("ANTHROPIC_API_KEY", "CARTESIA_API_KEY", "DEEPGRAM_API_KEY", "ELEVEN_API_KEY", "GOOGLE_API_KEY"),
    *("LEMONSLICE_API_KEY", "OPENAI_API_KEY", "XAI_API_KEY"),
)
WORTHLESS = "stand-in"


class Visited(Struct, frozen=True, kw_only=True):
    """`ended` is the outcome of the job, `why` what was said about what did not go well.

    said      what the caller read of the agent's words
    used      kinds of models that were asked
    wanted    hosts beyond this machine that somebody asked for, and was refused
    """

    reached: Stage
    ended: str = ""
    why: str = ""
    said: tuple[str, ...] = ()
    used: tuple[str, ...] = ()
    wanted: tuple[str, ...] = ()


async def visit(script: Path, server: RealLiveKitServer, environ: Mapping[str, str], log: Path | None) -> Visited:
    """Start a host with the script, call it, talk to it, and delete the room; the host's log goes to the file `log`."""
    async with StandInModels() as models:
        keys = dict.fromkeys([*WANTED, *(name for name in environ if _is_secret(name))], WORTHLESS)
        host = HostProcess(
            *("dev", script.name, "--set", "log_format=json", "--set", "http.listen=none"),
            cwd=script.parent,
            env=keys | server.environment | models.environment,
        )
        await host.start()
        try:
            found = await _call(host, server)
        except AssertionError as late:  # HostProcess says what did not come in time
            found = Visited(reached=Stage.NOT_IMPORTED, why=str(late).partition("\n")[0])
        finally:
            if log is not None:
                log.write_text(host.output())
            await host.close()
        used, wanted = tuple(sorted(models.used)), tuple(models.wanted)
        return Visited(
            reached=found.reached, ended=found.ended, why=found.why, said=found.said, used=used, wanted=wanted
        )


def _is_secret(name: str) -> bool:
    """Whether a variable of whoever runs the command may hold what costs money."""
    return name.endswith(("_KEY", "_SECRET", "_TOKEN")) and not name.startswith("LIVEKIT_")


async def _call(host: HostProcess, server: RealLiveKitServer) -> Visited:
    started = await _first(host, "registered", "start failed", timeout=START_SECONDS)
    if started.message != "registered":
        error = str(started.fields.get("error", ""))
        reached = Stage.NOT_IMPORTED if "import failed" in error else Stage.IMPORTED
        return Visited(reached=reached, why=error)
    name = f"example-{uuid.uuid4().hex[:8]}"
    async with api.LiveKitAPI(server.url, server.api_key, server.api_secret) as livekit:
        if agent_name := started.fields.get("agent_name"):
            request = api.CreateAgentDispatchRequest(agent_name=agent_name, room=name)
            await livekit.agent_dispatch.create_dispatch(request)
        room = rtc.Room()
        caller = VoiceClient(room)
        await room.connect(server.url, _token(server, name))
        try:
            reached, why = await _talk(host, caller)
        finally:
            await room.disconnect()
            await livekit.room.delete_room(api.DeleteRoomRequest(room=name))
    if reached < Stage.JOB:
        return Visited(reached=reached, why=why)
    said = tuple(caller.said.get_nowait() for _ in range(caller.said.qsize()))
    try:
        ended = await host.wait_event("job ended", timeout=END_SECONDS)
    except AssertionError:
        return Visited(
            reached=reached, ended="running", why=f"runs {END_SECONDS:g} s after the end of its room", said=said
        )
    outcome, error = str(ended.fields["outcome"]), str(ended.fields.get("error", ""))
    return Visited(reached=reached, ended=outcome, why=error or why, said=said)


async def _talk(host: HostProcess, caller: VoiceClient) -> tuple[Stage, str]:
    """Speak and write to the agent as soon as its session is there; how far it came, and why no further."""
    try:
        await host.wait_event("job started", timeout=SESSION_SECONDS)
    except AssertionError as late:
        return Stage.REGISTERED, str(late).partition("\n")[0]
    if not await _in_session(host, caller):
        return Stage.JOB, f"no session after {SESSION_SECONDS:g} s"
    async with caller.speaking(speech(RATE)):
        await asyncio.sleep(SPOKEN_SECONDS)
    await caller.write("Hello")
    await asyncio.sleep(ANSWER_SECONDS)
    return Stage.SESSION, ""


async def _in_session(host: HostProcess, caller: VoiceClient) -> bool:
    """Wait until an agent in the room says that it listens, thinks or speaks, or its job has ended."""
    agents = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
    try:
        async with asyncio.timeout(SESSION_SECONDS):
            while not host.events("job ended"):
                for one in caller.room.remote_participants.values():
                    if one.kind == agents and one.attributes.get("lk.agent.state", "initializing") != "initializing":
                        return True
                await asyncio.sleep(0.05)
    except TimeoutError:
        pass
    return False


async def _first(host: HostProcess, *messages: str, timeout: float) -> LogLine:
    """The first line with one of these messages."""
    waiting = [asyncio.create_task(host.wait_event(message, timeout=timeout)) for message in messages]
    try:
        done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        return next(iter(done)).result()
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


def _token(server: RealLiveKitServer, room: str) -> str:
    grants = api.VideoGrants(room_join=True, room=room)
    return api.AccessToken(server.api_key, server.api_secret).with_identity("caller").with_grants(grants).to_jwt()
