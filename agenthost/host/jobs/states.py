"""The states of a job on this host, and what may follow what. Pure.

    OFFERED ──▶ ACCEPTED ──▶ STARTING ──▶ RUNNING ──▶ ENDING
       │           │            ├────────────┼──────▲   │
       ▼           ▼            ▼            ▼          ▼
       └───────────┴──────────── ENDED ─────────────────┘

OFFERED: it has a slot, and the offer is not answered. ACCEPTED: a process is reserved for it, and the server was told
so. STARTING: the server has assigned it, and its process was given it. RUNNING: its entrypoint was called. ENDING: it
was asked to end, or has begun to by itself. ENDED: its process is gone, or it never became a job.
"""

from collections.abc import Mapping
from enum import Enum


class JobState(Enum):
    OFFERED = "offered"
    ACCEPTED = "accepted"
    STARTING = "starting"
    RUNNING = "running"
    ENDING = "ending"
    ENDED = "ended"


_NEXT: Mapping[JobState, frozenset[JobState]] = {
    JobState.OFFERED: frozenset({JobState.ACCEPTED, JobState.ENDED}),
    JobState.ACCEPTED: frozenset({JobState.STARTING, JobState.ENDED}),
    JobState.STARTING: frozenset({JobState.RUNNING, JobState.ENDING, JobState.ENDED}),
    JobState.RUNNING: frozenset({JobState.ENDING, JobState.ENDED}),
    JobState.ENDING: frozenset({JobState.ENDED}),
    JobState.ENDED: frozenset(),
}


class ServerMessage(Enum):
    """What the server may say about a job that it has offered."""

    ASSIGNMENT = "assignment"
    TERMINATION = "termination"


_EXPECTED: Mapping[ServerMessage, frozenset[JobState]] = {
    ServerMessage.ASSIGNMENT: frozenset({JobState.ACCEPTED}),
    ServerMessage.TERMINATION: frozenset({JobState.ACCEPTED, JobState.STARTING, JobState.RUNNING, JobState.ENDING}),
}


def may_follow(state: JobState, following: JobState) -> bool:
    """Whether a job goes from one to the other."""
    return following in _NEXT[state]


def expects(state: JobState, message: ServerMessage) -> bool:
    """Whether the message means anything for a job in this state; any other changes nothing."""
    return state in _EXPECTED[message]
