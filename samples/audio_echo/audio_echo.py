"""Plays a caller's microphone back to the room, frame by frame."""

from livekit import rtc

from agenthost import AutoSubscribe, JobContext


async def entrypoint(ctx: JobContext) -> None:
    await ctx.connect(auto_subscribe=AutoSubscribe.AUDIO_ONLY)
    caller = await ctx.wait_for_participant()
    rate = ctx.settings["sample_rate"]

    source = rtc.AudioSource(rate, num_channels=1)
    track = rtc.LocalAudioTrack.create_audio_track("echo", source)
    await ctx.agent.publish_track(track, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE))

    microphone = rtc.AudioStream.from_participant(
        participant=caller, track_source=rtc.TrackSource.SOURCE_MICROPHONE, sample_rate=rate, num_channels=1
    )
    async for event in microphone:
        await source.capture_frame(event.frame)
    ctx.shutdown("the caller hung up")
