"""Tells one participant how loud their microphone is: data on the topic `level`, as JSON."""

import json
import time

import numpy as np
from livekit import rtc

from agenthost import AutoSubscribe, JobContext


async def entrypoint(ctx: JobContext) -> None:
    await ctx.connect(auto_subscribe=AutoSubscribe.AUDIO_ONLY)
    assert ctx.publisher is not None  # `type: publisher` is about somebody
    speaker = await ctx.wait_for_participant(identity=ctx.publisher.identity)

    loudest = 0
    reported = time.monotonic()
    microphone = rtc.AudioStream.from_participant(participant=speaker, track_source=rtc.TrackSource.SOURCE_MICROPHONE)
    async for event in microphone:
        loudest = max(loudest, peak(event.frame))
        if time.monotonic() - reported >= ctx.settings["seconds_between_reports"]:
            await report(ctx, speaker, loudest)
            loudest, reported = 0, time.monotonic()
    ctx.shutdown("the speaker left")


def peak(frame: rtc.AudioFrame) -> int:
    """The highest sample of a frame, 0 to 32768."""
    samples = np.frombuffer(frame.data, dtype=np.int16)
    return int(np.abs(samples.astype(np.int32)).max(initial=0))


async def report(ctx: JobContext, speaker: rtc.RemoteParticipant, level: int) -> None:
    message = json.dumps({"identity": speaker.identity, "level": level})
    await ctx.agent.publish_data(message, topic="level", destination_identities=[speaker.identity])
