"""Which tracks of others an agent receives when it joins. Runs in job processes."""

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from livekit import rtc


class AutoSubscribe(StrEnum):
    """What `ctx.connect(auto_subscribe=…)` subscribes to without being asked for each track."""

    SUBSCRIBE_ALL = "subscribe_all"
    SUBSCRIBE_NONE = "subscribe_none"
    AUDIO_ONLY = "audio_only"
    VIDEO_ONLY = "video_only"


def subscribe_by_kind(room: "rtc.Room", wanted: AutoSubscribe) -> None:
    """Subscribe to the tracks of one kind, those there and those to come; the server itself knows only all or none."""
    from livekit import rtc

    kinds = {
        AutoSubscribe.AUDIO_ONLY: rtc.TrackKind.KIND_AUDIO,
        AutoSubscribe.VIDEO_ONLY: rtc.TrackKind.KIND_VIDEO,
    }
    if wanted not in kinds:
        return

    def subscribe(publication: "rtc.RemoteTrackPublication") -> None:
        if publication.kind == kinds[wanted]:
            publication.set_subscribed(True)

    room.on("track_published", subscribe)
    for participant in room.remote_participants.values():
        for publication in participant.track_publications.values():
            subscribe(publication)
