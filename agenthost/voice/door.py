"""The way into agenthost.voice: first whether the installed livekit-agents fits, then everything that stands on it.

Runs in templates and processes. The only module here that others import, and only `agenthost.child.framework` does:
late, once the user's own import has brought livekit-agents, or where the reference can mean nothing else.
"""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from agenthost.ipc.messages import CodeSpec, GuestSeen, StartJob
from agenthost.voice.self_check import check_parts

if TYPE_CHECKING:
    from agenthost.child.agent_code import AgentCode
    from agenthost.voice.framework import LiveKitAgents
    from agenthost.voice.session_topic import SessionTopic


def prepare() -> None:
    """What takes time, or is the same for all processes: once, by a template, or else by each process.

    Raises EntrypointError.
    """
    _check_once()
    from agenthost.voice.framework import prepare_library

    prepare_library()


@functools.cache
def _check_once() -> None:
    check_parts()


def find(found: object | None, spec: CodeSpec) -> "LiveKitAgents | None":
    """The agent that `found` is, None if it is not for livekit-agents.

    `found` None: the entrypoint is a module or a script, to be searched; then there is one. Raises EntrypointError.
    """
    _check_once()
    # After the check: a version that does not fit would fail in these imports, with a traceback of ours.
    from agenthost.voice.framework import find_agent

    return find_agent(found, spec)


def open_topic(start: StartJob, *, say: Callable[[GuestSeen], None]) -> "SessionTopic":
    """The session topic of a job whose code has imported livekit-agents, as `find` has seen, and is not for it."""
    from agenthost.voice.session_topic import SessionTopic

    return SessionTopic(start, say=say)


def take(agent: object, spec: CodeSpec) -> "tuple[AgentCode, bytes]":
    """As `child.framework.handed_over`."""
    _check_once()
    from agenthost.voice.handing_over import take_agent

    return take_agent(agent, spec)
