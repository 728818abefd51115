"""What users of livekit-agents rely on besides the session itself, each in a room of the real server."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from livekit import api, rtc
from livekit.protocol import sip
from livekit.protocol.agent import Job, JobType
from livekit.protocol.models import Room

from tests.support.job_process import Fork, JobProcess, JobTemplate
from tests.support.protocols import Join
from tests.support.real_server import RealLiveKitServer
from tests.support.voice_client import RATE, VoiceClient, frames, is_loud
from tests.support.voice_jobs import IMPORTS, voice_template
from tests.support.web_stub import WebStub

pytest.importorskip("livekit.agents")
from livekit.agents import JobContext

from agenthost.testing.voice_models import tone

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

SESSION = (
    IMPORTS
    + """
import json
from livekit import api, rtc
from livekit.agents import Agent, AgentSession, utils
from livekit.agents.voice.room_io import RoomOptions
from agenthost.testing.voice_models import ScriptedLLM, ScriptedSTT, ToneTTS, tone

WRITTEN = RoomOptions(audio_input=False, audio_output=False)

def scripted(**more) -> AgentSession:
    return AgentSession(llm=ScriptedLLM({}, otherwise="heard: {text}"), vad=None, **more)
"""
)


@pytest.fixture(scope="module")
def job_template() -> Iterator[JobTemplate]:
    with voice_template() as made:
        yield made


@pytest.fixture
def room_name() -> str:
    return f"room-{uuid.uuid4().hex[:8]}"


@pytest.fixture
async def stub() -> AsyncIterator[WebStub]:
    async with WebStub() as made:
        yield made


@pytest.fixture
def start(run_job: Fork, livekit_server: RealLiveKitServer, room_name: str) -> Any:
    """`start(code, attributes={…})`: a job of that code in the room, as a host starts it."""

    def run(code: str, *, with_pair: bool = True, **job: Any) -> JobProcess:
        facts = Job(id="AJ_1", type=JobType.JT_ROOM, room=Room(name=room_name, sid="RM_1"), **job)
        pair = {"api_key": livekit_server.api_key, "api_secret": livekit_server.api_secret} if with_pair else {}
        return run_job(room_name, SESSION + code, entrypoint="agent:server", start={**pair, "job": facts})

    return run


async def ended(process: JobProcess) -> Any:
    return await asyncio.to_thread(process.end)


async def test_rpc_and_streams_reach_the_job(start: Any, participant: Join, room_name: str) -> None:
    """A method that a person calls, a file that a person sends, and texts that come back."""
    room = await participant(room_name)
    client = VoiceClient(room)
    texts: asyncio.Queue[str] = asyncio.Queue()

    async def read(reader: rtc.TextStreamReader) -> None:
        texts.put_nowait(await reader.read_all())

    room.register_text_stream_handler("receipts", lambda reader, _: client.keep(read(reader)))
    process = start(
        """
@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    async def read(reader, sender: str) -> None:
        data = b"".join([chunk async for chunk in reader])
        await ctx.room.local_participant.send_text(f"{len(data)} bytes from {sender}", topic="receipts")

    async def greet(call: rtc.RpcInvocationData) -> str:
        return f"hello {call.payload}"

    ctx.room.register_byte_stream_handler("files", lambda *found: asyncio.ensure_future(read(*found)))
    await ctx.connect()
    ctx.room.local_participant.register_rpc_method("greet", greet)
    await ctx.wait_for_participant()
    await ctx.room.local_participant.send_text("ready", topic="receipts")
"""
    )
    assert await asyncio.wait_for(texts.get(), 20) == "ready"
    await client.agent()  # a text may be faster than the word of who is there, by which livekit.rtc calls it
    said = await room.local_participant.perform_rpc(
        destination_identity="agent", method="greet", payload="ada", response_timeout=20
    )
    assert said == "hello ada"
    writer = await room.local_participant.stream_bytes("file", topic="files")
    await writer.write(bytes(100_000))
    await writer.aclose()
    assert await asyncio.wait_for(texts.get(), 20) == "100000 bytes from caller"
    process.stop("received")  # only now: who leaves the room takes along what is still on its way
    assert (await ended(process)).reason == "received"


async def test_each_participant_has_its_entrypoint(start: Any, participant: Join, room_name: str) -> None:
    """For whoever is there already, and whoever comes later; and waiting for one by its identity."""
    await participant(room_name, "ann")
    process = start(
        """
async def greet(ctx: JobContext, person) -> None:
    print("greeted", person.identity, flush=True)

@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    ctx.add_participant_entrypoint(greet)
    await ctx.connect()
    bert = await ctx.wait_for_participant(identity="bert")
    while len(ctx._participant_tasks) and not all(task.done() for task in ctx._participant_tasks.values()):
        await asyncio.sleep(0.01)
    ctx.shutdown(f"{bert.identity} came")
"""
    )
    client = VoiceClient(await participant(room_name, "carla"))
    await client.agent()
    await participant(room_name, "bert")
    assert (await ended(process)).reason == "bert came"
    greeted = sorted(line for line in process.output.splitlines() if line.startswith("greeted"))
    assert greeted == ["greeted ann", "greeted bert", "greeted carla"]


async def test_the_job_knows_its_facts(start: Any, room_name: str) -> None:
    """What the server said of the job, and what the token says of the agent."""
    process = start(
        """
@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    claims = ctx.token_claims()
    facts = [ctx.job.metadata, dict(ctx.job.attributes), ctx.local_participant_identity, claims.video.room]
    ctx.shutdown(json.dumps([*facts, ctx.worker_id, ctx.is_fake_job(), ctx.proc.pid == os.getpid()]))
""",
        metadata="vip",
        attributes={"tier": "gold"},
    )
    assert json.loads((await ended(process)).reason) == [
        "vip", {"tier": "gold"}, "agent", room_name, "AW_1", False, True,
    ]  # fmt: skip


async def test_plugins_share_an_http_session_for_the_job(start: Any, stub: WebStub) -> None:
    """`utils.http_context.http_session()`: there in the entrypoint, the same one later, and closed at the end."""
    process = start(
        f"""
@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    session = utils.http_context.http_session()
    async with session.post("{stub.url}/plugin", data=b"hello") as answer:
        status = answer.status
    ctx.shutdown(f"{{status}} {{utils.http_context.http_session() is session}}")
"""
    )
    assert (await stub.wait("/plugin")).body == b"hello"
    assert (await ended(process)).reason == "200 True"
    assert "Unclosed" not in process.output + "".join(line.message for line in process.lines)


async def test_sip_helpers_call_with_the_rights_for_it(
    start: Any, stub: WebStub, livekit_server: RealLiveKitServer, room_name: str
) -> None:
    """Add a caller and transfer them. The real server has no SIP service here: another one hears what is asked."""
    process = start(
        f"""
@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    os.environ["LIVEKIT_URL"] = "{stub.url}"
    await ctx.add_sip_participant(call_to="+4131", trunk_id="ST_1", participant_identity="phone")
    await ctx.transfer_sip_participant("phone", "tel:+4132", play_dialtone=True)
    ctx.shutdown("called")
"""
    )
    added = await stub.wait("/twirp/livekit.SIP/CreateSIPParticipant")
    wanted = sip.CreateSIPParticipantRequest.FromString(added.body)
    assert (wanted.sip_call_to, wanted.sip_trunk_id, wanted.room_name) == ("+4131", "ST_1", room_name)
    moved = await stub.wait("/twirp/livekit.SIP/TransferSIPParticipant")
    transfer = sip.TransferSIPParticipantRequest.FromString(moved.body)
    assert (transfer.participant_identity, transfer.transfer_to, transfer.play_dialtone) == ("phone", "tel:+4132", True)
    verifier = api.TokenVerifier(livekit_server.api_key, livekit_server.api_secret)
    assert verifier.verify(added.authorization.removeprefix("Bearer ")).sip.call
    assert (await ended(process)).reason == "called"


async def test_a_session_report_tells_what_was_said(start: Any, participant: Join, room_name: str) -> None:
    """`ctx.make_session_report()` in `on_session_end`, when the session is closed."""
    process = start(
        """
async def report(ctx: JobContext) -> None:
    found = ctx.make_session_report()
    said = [item.text_content for item in found.chat_history.items if item.type == "message"]
    print("report", json.dumps([found.job_id, found.room, said]), flush=True)

@server.rtc_session(on_session_end=report)
async def entrypoint(ctx: JobContext) -> None:
    await scripted().start(agent=Agent(instructions=""), room=ctx.room, room_options=WRITTEN)
"""
    )
    client = VoiceClient(await participant(room_name))
    await client.agent()
    await client.write_until_heard("good morning", "heard: good morning")
    process.stop("enough")
    await ended(process)
    (line,) = [line for line in process.output.splitlines() if line.startswith("report ")]
    job, room, said = json.loads(line.removeprefix("report "))
    assert (job, room) == ("AJ_1", room_name)
    assert "good morning" in said and "heard: good morning" in [text.strip() for text in said]


async def test_a_recorded_session_is_uploaded(start: Any, stub: WebStub, participant: Join, room_name: str) -> None:
    """The server's wish (`enable_recording` of the job) is heard: audio, transcript, logs and traces are sent."""
    process = start(
        f"""
import logging
os.environ["LIVEKIT_OBSERVABILITY_URL"] = "{stub.url}"

@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    session = scripted(stt=ScriptedSTT(["good morning"]), tts=ToneTTS(), turn_detection="stt")
    await session.start(agent=Agent(instructions=""), room=ctx.room)
    logging.getLogger("shop").warning("a line of the job")
""",
        enable_recording=True,
    )
    client = VoiceClient(await participant(room_name))
    await client.agent()
    async with client.speaking(tone(0.5, rate=RATE, hertz=300)):
        await asyncio.sleep(1.0)  # so long somebody speaks
    await client.heard("heard: good morning")
    process.stop("enough")
    await ended(process)
    recording = await stub.wait("/observability/recordings/v0")
    assert b"recording.ogg" in recording.body and b"OggS" in recording.body
    assert b"chat_history.json" in recording.body and b"good morning" in recording.body
    assert recording.authorization.startswith("Bearer ")
    kinds = {each.path.split("/")[2] for each in stub.asked}
    assert {"recordings", "logs", "traces"} <= kinds


async def test_without_the_pair_a_session_runs_unrecorded(
    start: Any, stub: WebStub, participant: Join, room_name: str
) -> None:
    """Uploads cannot be signed then: the call goes on, the log says why nothing is recorded and what to write."""
    process = start(
        f"""
os.environ["LIVEKIT_OBSERVABILITY_URL"] = "{stub.url}"

@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    await scripted().start(agent=Agent(instructions=""), room=ctx.room, room_options=WRITTEN)
""",
        with_pair=False,
        enable_recording=True,
    )
    client = VoiceClient(await participant(room_name))
    await client.agent()
    await client.write_until_heard("good morning", "heard: good morning")
    process.stop("enough")
    assert (await ended(process)).kind == "stopped"
    assert "livekit.secret_in_jobs: false" in process.line("the session is not recorded").fields["hint"]
    assert not stub.asked


async def test_spans_of_the_job_reach_the_users_own_telemetry(start: Any, participant: Join, room_name: str) -> None:
    """`telemetry.set_tracer_provider` in prewarm: the job, its session and its turns are traced."""
    process = start(
        """
from livekit.agents import telemetry
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExporter, SpanExportResult

class Printer(SpanExporter):
    def export(self, spans):
        for span in spans:
            print("span", span.name, flush=True)
        return SpanExportResult.SUCCESS

def prewarm(proc: JobProcess) -> None:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(Printer()))
    telemetry.set_tracer_provider(provider)

server.setup_fnc = prewarm

@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    await scripted().start(agent=Agent(instructions=""), room=ctx.room, room_options=WRITTEN)
"""
    )
    client = VoiceClient(await participant(room_name))
    await client.agent()
    await client.write_until_heard("hello", "heard: hello")
    process.stop("enough")
    await ended(process)
    spans = {line.removeprefix("span ") for line in process.output.splitlines() if line.startswith("span ")}
    assert {"job_entrypoint", "agent_session", "agent_turn"} <= spans


async def test_background_audio_is_heard(start: Any, participant: Join, room_name: str) -> None:
    """A sound of the user's own, in a session that says nothing."""
    process = start(
        """
from livekit.agents import BackgroundAudioPlayer

async def hum():
    wave = tone(0.1)
    while True:
        yield rtc.AudioFrame(wave, 24000, 1, len(wave) // 2)

@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    session = scripted()
    await session.start(agent=Agent(instructions=""), room=ctx.room, room_options=WRITTEN)
    await BackgroundAudioPlayer(ambient_sound=hum()).start(room=ctx.room, agent_session=session)
"""
    )
    client = VoiceClient(await participant(room_name))
    async with asyncio.timeout(40):
        async for samples in frames(await client.track):
            if is_loud(samples):
                break
    process.stop("enough")
    assert (await ended(process)).kind == "stopped"


async def test_an_avatar_speaks_for_the_agent(
    start: Any, stub: WebStub, participant: Join, livekit_server: RealLiveKitServer, room_name: str
) -> None:
    """As avatar plugins do: a token on behalf of the agent goes to a service, whose worker gets the agent's audio."""
    process = start(
        f"""
from livekit.agents.types import ATTRIBUTE_PUBLISH_ON_BEHALF
from livekit.agents.voice.avatar import DataStreamAudioOutput

@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    await ctx.connect()
    token = (
        api.AccessToken()
        .with_kind("agent")
        .with_identity("avatar")
        .with_grants(api.VideoGrants(room_join=True, room=ctx.room.name))
        .with_attributes({{ATTRIBUTE_PUBLISH_ON_BEHALF: ctx.local_participant_identity}})
    )
    async with utils.http_context.http_session().post("{stub.url}/avatar", data=token.to_jwt()):
        pass
    session = scripted(tts=ToneTTS())
    session.output.audio = DataStreamAudioOutput(ctx.room, destination_identity="avatar", sample_rate=24000)
    options = RoomOptions(audio_input=False, audio_output=False)
    await session.start(agent=Agent(instructions=""), room=ctx.room, room_options=options)
    await ctx.wait_for_participant(identity="avatar", kind=rtc.ParticipantKind.PARTICIPANT_KIND_AGENT)
    session.say("Hello from the avatar.")
"""
    )
    token = (await stub.wait("/avatar")).body.decode()
    avatar = rtc.Room()
    received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def read(reader: rtc.ByteStreamReader) -> None:
        data = b""
        async for chunk in reader:
            data += chunk
            if len(data) > 10_000 and not received.done():
                received.set_result(data)

    tasks: list[asyncio.Task[None]] = []
    avatar.register_byte_stream_handler(
        "lk.audio_stream", lambda reader, _: tasks.append(asyncio.create_task(read(reader)))
    )
    try:
        await avatar.connect(livekit_server.url, token)
        assert avatar.local_participant.attributes["lk.publish_on_behalf"] == "agent"
        samples = await asyncio.wait_for(received, 30)
        assert any(samples)
    finally:
        await avatar.disconnect()
        for task in tasks:
            task.cancel()
    process.stop("enough")
    assert (await ended(process)).kind == "stopped"


async def test_a_job_hears_and_sees_what_it_asked_for(start: Any, participant: Join, room_name: str) -> None:
    """`auto_subscribe`; joining again is joining once."""
    client = VoiceClient(await participant(room_name))
    process = start(
        """
from livekit.agents import AutoSubscribe

@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    published = asyncio.Event()
    ctx.room.on("track_published", lambda *_: published.set())
    ctx.room.on("track_subscribed", lambda track, *_: print("subscribed", track.kind, flush=True))
    await asyncio.gather(*(ctx.connect(auto_subscribe=AutoSubscribe.SUBSCRIBE_NONE) for _ in range(2)))
    await ctx.room.local_participant.send_text("ready", topic="lk.transcription")
    await published.wait()
    (publication,) = (await ctx.wait_for_participant()).track_publications.values()
    before = publication.subscribed
    heard = asyncio.Event()
    ctx.room.on("track_subscribed", lambda *_: heard.set())
    publication.set_subscribed(True)
    await heard.wait()
    ctx.shutdown(f"{before} {publication.subscribed}")
"""
    )
    await client.heard("ready")
    async with client.speaking(tone(0.5, rate=RATE, hertz=300)):
        assert (await ended(process)).reason == "False True"
    assert process.output.count("subscribed") == 1


async def test_a_job_deletes_its_room_and_leaves_nothing(start: Any, participant: Join, room_name: str) -> None:
    """Tags until its report, a folder until the end; and a second entrypoint for the same participants is refused."""
    gone = asyncio.Event()
    (await participant(room_name)).on("disconnected", lambda *_: gone.set())
    process = start(
        """
async def greet(ctx: JobContext, person) -> None: ...

async def report(ctx: JobContext) -> None:
    found = ctx.make_session_report()
    print("report", json.dumps([found.room, sorted(ctx.tagger.tags)]), flush=True)

@server.rtc_session(on_session_end=report)
async def entrypoint(ctx: JobContext) -> None:
    ctx.add_participant_entrypoint(greet)
    try:
        ctx.add_participant_entrypoint(greet)
    except ValueError:
        print("refused", flush=True)
    await scripted().start(agent=Agent(instructions=""), room=ctx.room, room_options=WRITTEN)
    ctx.tagger.success(reason="sold")
    ctx.tagger.add("voicemail:true")
    print("folder", ctx.session_directory, ctx.session_directory.is_dir(), flush=True)
    await ctx.delete_room()
"""
    )
    await asyncio.wait_for(gone.wait(), 30)
    assert (await ended(process)).reason == "room deleted"
    said = dict(line.split(" ", 1) for line in process.output.splitlines() if " " in line)
    assert json.loads(said["report"]) == [room_name, ["lk.success", "voicemail:true"]]
    folder, existed = said["folder"].rsplit(" ", 1)
    assert existed == "True" and not Path(folder).exists()
    assert "refused" in process.output.splitlines()


async def test_a_simulated_job_knows_what_it_is_simulated_with(start: Any) -> None:
    """`ctx.simulation_context()`, from the attribute that the simulator dispatches the agent with; others have none."""
    code = """
@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    found = ctx.simulation_context()
    ctx.shutdown("none" if found is None else type(found).__name__)
"""
    if not hasattr(JobContext, "simulation_context"):
        pytest.skip("this version of livekit-agents has no simulations")
    attributes = {"lk.simulator.dispatch": json.dumps({"simulationRunId": "SR_1"})}
    assert (await ended(start(code, attributes=attributes))).reason == "SimulationContext"
    assert (await ended(start(code))).reason == "none"
