"""Tells a job that somebody ended from one that is still on its way into its room. Runs on the host's loop.

When livekit.rtc's first connection does not come about (a slow network, a busy machine) it joins again, as the same
participant. The server takes the end of the first try for the end of the job, and sends a termination, which has no
reason in it. But what was ended by somebody has no dispatch any more.
"""

from agenthost.errors import AgentHostError
from agenthost.recovery.server_api import ServerApi


async def is_meant(server: ServerApi, *, room: str, dispatch_id: str) -> bool:
    """Whether the termination of a job that has not joined yet is to end it. Where nobody can tell, it is."""
    try:
        dispatches = await server.list_dispatches(room)
    except AgentHostError:
        return True
    return not any(one.id == dispatch_id and not one.ended for one in dispatches)
