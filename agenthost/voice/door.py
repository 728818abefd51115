"""The way into agenthost.voice: first whether the installed livekit-agents fits, then everything that stands on it.

Runs in templates. The only module here that others import, and only `agenthost.child.framework` does: late, once the
user's own import has brought livekit-agents, or where the reference can mean nothing else.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from agenthost.ipc.messages import GuestSeen, StartJob
from agenthost.voice.self_check import check_parts

if TYPE_CHECKING:
    from agenthost.voice.framework import LiveKitAgents
    from agenthost.voice.session_topic import SessionTopic


def find(found: object | None, reference: str) -> "LiveKitAgents | None":
    """The agent that `found` is, None if it is not for livekit-agents.

    `found` None: the reference is a module or a script, to be searched; then there is one. Raises EntrypointError.
    """
    check_parts()
    # After the check: a version that does not fit would fail in these imports, with a traceback of ours.
    from agenthost.voice.framework import find_agent

    return find_agent(found, reference)


def open_topic(start: StartJob, *, say: Callable[[GuestSeen], None]) -> "SessionTopic":
    """The session topic of a job whose code has imported livekit-agents, as `find` has seen, and is not for it."""
    from agenthost.voice.session_topic import SessionTopic

    return SessionTopic(start, say=say)
