"""The examples of livekit-agents of which less is expected than a session that ends well, each with its reason.

Every other example, one that is new in the checkout included, has to reach a session that succeeds.
"""

import enum

from msgspec import Struct


class Stage(enum.IntEnum):
    """How far an example comes; each of these includes those before it."""

    NOT_IMPORTED = 0
    IMPORTED = 1
    REGISTERED = 2
    JOB = 3
    SESSION = 4


class Expected(Struct, frozen=True, kw_only=True):
    """`ends` is the outcome of its job; `why` says what keeps it from a session that succeeds."""

    reaches: Stage = Stage.SESSION
    ends: str = "succeeded"
    why: str = ""


SKIPPED = {
    "browser_agent.py": "shows pages of the internet in a Chromium, which its plugin downloads",
}
"""Not run at all, and why."""

LISTED = {
    "avatar/agent.py": Expected(
        reaches=Stage.JOB, ends="failed", why="its avatar is a service of LemonSlice, which takes a paid key"
    ),
    "avatar/inference_agent.py": Expected(
        reaches=Stage.JOB, ends="failed", why="its avatar takes a picture of one's own, and a paid key"
    ),
    "other/cartesia.py": Expected(
        reaches=Stage.NOT_IMPORTED,
        ends="",
        why="its entrypoint is a function in a function, which job processes cannot import; livekit-agents cannot "
        "start it either: `Can't pickle local object`",
    ),
    "primitives/room_stats.py": Expected(
        ends="failed", why="asks for `Room.get_session_stats`, which is `get_rtc_stats` in today's `livekit`"
    ),
    "telephony/amd.py": Expected(ends="failed", why="it waits for somebody who answers a phone"),
    "telephony/bank-ivr/ivr_system_agent.py": Expected(
        ends="timed out",
        why="once its session is over its menu asks again without end and without a pause: killed after "
        "`limits.unresponsive`",
    ),
    "voice_agents/llamaindex-rag/chat_engine.py": Expected(
        reaches=Stage.JOB,
        ends="failed",
        why="needs `llama-index-llms-openai`, which does not go with the `openai` that livekit-plugins-openai needs",
    ),
}


def expected(name: str) -> Expected:
    """What is expected of an example that is run."""
    return LISTED.get(name, Expected())
