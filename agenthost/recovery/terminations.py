"""Tells a job that somebody ended from one whose participant came and went. Runs on the host's loop.

livekit.rtc joins again, as the same participant, when its first connection does not come about (a slow network, a busy
machine), and when a connection breaks and cannot be resumed. The server takes the end of the first participant for the
end of the job, and sends a termination, which has no reason in it. But what was ended by somebody has no dispatch any
more.
"""

from agenthost.recovery.server_api import ServerApi


async def dispatch_stands(server: ServerApi, *, room: str, dispatch_id: str) -> bool:
    """Whether a room still has this dispatch, and nobody has said that it is over. Raises AgentHostError."""
    dispatches = await server.list_dispatches(room)
    return any(one.id == dispatch_id and not one.ended for one in dispatches)
