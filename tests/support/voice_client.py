"""A person in the room of a livekit-agents session: writes, reads what is said, speaks, and hears."""

import asyncio
import contextlib
from array import array
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from livekit import rtc

SECONDS = 15.0  # for one turn; it takes some tens of milliseconds
RATE = 48000
SAMPLES = 480  # 10 ms
LOUD = 1000


class VoiceClient:
    """Make it as soon as `room` is joined: what the agent says first would be missed otherwise."""

    def __init__(self, room: rtc.Room) -> None:
        self.room = room
        self.said: asyncio.Queue[str] = asyncio.Queue()
        self.track: asyncio.Future[rtc.RemoteTrack] = asyncio.get_running_loop().create_future()
        self._readers: set[asyncio.Task[None]] = set()
        room.register_text_stream_handler("lk.transcription", self._on_text)
        room.on("track_subscribed", self._on_track)

    async def write(self, text: str) -> None:
        """A turn in writing."""
        await self.room.local_participant.send_text(text, topic="lk.chat")

    async def heard(self, wanted: str) -> str:
        """Wait until the agent has said something that contains `wanted`; what was said before is passed over."""
        others = []
        try:
            async with asyncio.timeout(SECONDS):
                while wanted not in (text := await self.said.get()):
                    others.append(text)
        except TimeoutError:
            raise AssertionError(f"{wanted!r} was not said, but {others}") from None
        return text

    async def write_until_heard(self, text: str, wanted: str) -> None:
        """A turn in writing, said again until the session is there to hear it; for agents that do not speak first."""
        async with asyncio.timeout(SECONDS):
            while True:
                await self.write(text)
                try:
                    async with asyncio.timeout(1.0):
                        while wanted not in await self.said.get():
                            pass
                        return
                except TimeoutError:
                    continue

    async def agent(self) -> rtc.RemoteParticipant:
        """The agent, once it is in the room."""
        async with asyncio.timeout(SECONDS):
            while True:
                for participant in self.room.remote_participants.values():
                    if participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT:
                        return participant
                await asyncio.sleep(0.02)

    @asynccontextmanager
    async def speaking(self, wave: bytes) -> AsyncIterator[None]:
        """A microphone that says `wave` (16 bit, 48 kHz) over and over, as long as the block runs."""
        source = rtc.AudioSource(RATE, num_channels=1)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        publication = await self.room.local_participant.publish_track(track, options)

        async def speak() -> None:
            size = 2 * SAMPLES
            while True:
                for at in range(0, len(wave) - size + 1, size):
                    await source.capture_frame(rtc.AudioFrame(wave[at : at + size], RATE, 1, SAMPLES))

        task = asyncio.create_task(speak())
        try:
            yield
        finally:
            task.cancel()
            await self.room.local_participant.unpublish_track(publication.sid)

    def _on_text(self, reader: rtc.TextStreamReader, sender: str) -> None:
        if sender == self.room.local_participant.identity:
            return
        self.keep(self._read(reader))

    def keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this as a task that nobody awaits."""
        task = asyncio.create_task(work)
        self._readers.add(task)
        task.add_done_callback(self._readers.discard)

    async def _read(self, reader: rtc.TextStreamReader) -> None:
        with contextlib.suppress(ConnectionError):  # the room was left in the middle of a sentence
            self.said.put_nowait(await reader.read_all())

    def _on_track(self, track: rtc.RemoteTrack, *_: object) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO and not self.track.done():
            self.track.set_result(track)


async def frames(track: rtc.RemoteTrack) -> "AsyncIterator[array[int]]":
    """The samples of a track, frame by frame, until the consumer has enough."""
    stream = rtc.AudioStream(track, sample_rate=RATE, num_channels=1)
    try:
        async for event in stream:
            yield array("h", bytes(event.frame.data))
    finally:
        await stream.aclose()


def is_loud(samples: "array[int]") -> bool:
    return max(map(abs, samples), default=0) > LOUD
