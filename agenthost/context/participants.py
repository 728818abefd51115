"""The other participants of a job's room: waiting for one, and one task for each. Runs in job processes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING

from agenthost.context.calls import attempt, call, name_of

if TYPE_CHECKING:
    from livekit import rtc

    from agenthost.context.job_room import JobRoom

logger = logging.getLogger("agenthost.job")

Kind = int  # a value of livekit.rtc.ParticipantKind
Entrypoint = Callable[["rtc.RemoteParticipant"], Awaitable[None]]


def default_kinds() -> tuple[Kind, ...]:
    """People, however they join: connectors, phones and standard clients; no agents, ingress or egress."""
    from livekit.rtc import ParticipantKind as Kinds

    return (
        Kinds.PARTICIPANT_KIND_CONNECTOR,
        Kinds.PARTICIPANT_KIND_SIP,
        Kinds.PARTICIPANT_KIND_STANDARD,
    )


class StoppedWaiting(RuntimeError):
    """Raised in those who wait for a participant when the room is left or the job ends; the message says why."""


class Participants:
    """Watches who comes. A participant counts as here once it is active: it can be sent data from then on."""

    def __init__(self, room: "JobRoom") -> None:
        self._room = room
        self._waiting: set[asyncio.Future[rtc.RemoteParticipant]] = set()
        self._entrypoints: dict[object, tuple[Entrypoint, Collection[Kind]]] = {}
        self._started: set[tuple[str, object]] = set()
        self._running: dict[asyncio.Task[None], tuple[str, object]] = {}
        self._closed = ""
        room.on("participant_active", self._start_tasks)
        room.on("disconnected", self._on_disconnected)
        room.when_joined(self._start_for_present)

    @property
    def expected(self) -> bool:
        """Whether a participant entrypoint was added."""
        return bool(self._entrypoints)

    @property
    def tasks(self) -> frozenset[asyncio.Task[None]]:
        """The tasks of participant entrypoints that are running."""
        return frozenset(self._running)

    async def wait(self, identity: str | None, kinds: Collection[Kind]) -> "rtc.RemoteParticipant":
        """The first participant here of that identity (None: any) and kind. RuntimeError if the room is left first."""
        if self._closed or not self._room.isconnected():
            raise RuntimeError(f"no participant will come: {self._closed or 'the room is not connected'}")
        arrival: asyncio.Future[rtc.RemoteParticipant] = asyncio.get_running_loop().create_future()

        def look_at(participant: "rtc.RemoteParticipant") -> None:
            if not arrival.done() and identity in (None, participant.identity) and participant.kind in kinds:
                arrival.set_result(participant)

        self._waiting.add(arrival)
        self._room.on("participant_active", look_at)
        try:
            for participant in self._present():
                look_at(participant)
            return await arrival
        finally:
            self._waiting.discard(arrival)
            self._room.off("participant_active", look_at)

    def add_entrypoint(self, key: object, entrypoint: Entrypoint, kinds: Collection[Kind]) -> None:
        """Run `entrypoint` in a task of its own for everyone of `kinds`, here or to come; `key` may be added once."""
        if key in self._entrypoints:
            raise ValueError(f"the participant entrypoint {name_of(key)} was added before; add each function once")
        self._entrypoints[key] = (entrypoint, kinds)
        if self._room.isconnected():
            for participant in self._present():
                self._start_task(key, participant)

    def close(self, reason: str) -> None:
        """Start no more tasks, and wake everyone who waits: the job is ending."""
        self._closed = reason
        for arrival in self._waiting:
            if not arrival.done():
                arrival.set_exception(StoppedWaiting(f"stopped waiting for a participant: {reason}"))

    def _on_disconnected(self) -> None:
        self.close("the room was left")

    def _present(self) -> "list[rtc.RemoteParticipant]":
        from livekit.rtc import ParticipantState

        everyone = self._room.remote_participants.values()
        return [one for one in everyone if one.state == ParticipantState.PARTICIPANT_STATE_ACTIVE]

    def _start_for_present(self) -> None:
        for participant in self._present():
            self._start_tasks(participant)

    def _start_tasks(self, participant: "rtc.RemoteParticipant") -> None:
        for key in tuple(self._entrypoints):
            self._start_task(key, participant)

    def _start_task(self, key: object, participant: "rtc.RemoteParticipant") -> None:
        entrypoint, kinds = self._entrypoints[key]
        visit = (participant.sid, key)  # who leaves and returns has a new sid; a reconnect of ours has not
        if self._closed or participant.kind not in kinds or visit in self._started:
            return
        self._started.add(visit)
        fields = {"entrypoint": name_of(key), "identity": participant.identity}
        if (participant.identity, key) in self._running.values():
            logger.warning("a participant came back before its earlier task ended", extra=fields)
        task = asyncio.create_task(_run(entrypoint, participant, fields), name=f"participant entrypoint {name_of(key)}")
        self._running[task] = (participant.identity, key)
        task.add_done_callback(self._running.pop)


async def _run(entrypoint: Entrypoint, participant: "rtc.RemoteParticipant", fields: dict[str, str]) -> None:
    error = await attempt(call(entrypoint, participant))
    if error is not None:
        logger.error("a participant entrypoint failed", exc_info=error, extra=fields)
