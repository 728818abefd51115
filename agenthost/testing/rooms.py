"""Rooms, their participants and their dispatches: the half of the server that makes jobs out of what happens.

Runs in the test's process. Nobody really joins (there is no media here): tests say who is in a room.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from livekit.protocol import agent, agent_dispatch, models

from agenthost.testing.dispatcher import Dispatcher
from agenthost.testing.values import OfferOutcome, OfferResult, new_id

DEPENDENT_KINDS = (models.ParticipantInfo.Kind.AGENT, models.ParticipantInfo.Kind.EGRESS)


class NotFound(LookupError):
    """There is no such room, dispatch or participant."""


@dataclass(slots=True, kw_only=True)
class Dispatch:
    """One dispatch and the jobs it led to, each with the time from which ListDispatch shows it."""

    info: agent_dispatch.AgentDispatch
    jobs: list[tuple[float, agent.Job]] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Room:
    info: models.Room
    participants: dict[str, models.ParticipantInfo] = field(default_factory=dict)
    dispatches: dict[str, Dispatch] = field(default_factory=dict)

    def count(self) -> None:
        """Agents and recorders are not counted, and the real server's count is some seconds old."""
        people = [one for one in self.participants.values() if one.kind not in DEPENDENT_KINDS]
        self.info.num_participants = len(people)


class Rooms:
    """All rooms of one server. `list_lag`: seconds until ListDispatch shows a job that was launched."""

    def __init__(self, dispatcher: Dispatcher, *, list_lag: float) -> None:
        self.by_name: dict[str, Room] = {}
        self._dispatcher = dispatcher
        self._list_lag = list_lag

    # ── rooms ────────────────────────────────────────────────────────────────────────────────────────────────

    def room(self, name: str) -> Room:
        """Raises NotFound."""
        try:
            return self.by_name[name]
        except KeyError:
            raise NotFound(f"requested room does not exist: {name}") from None

    def create(self, name: str, *, metadata: str = "", agents: Iterable[str] = ("",)) -> Room:
        """The room of that name; a new one dispatches `agents`: the automatic one, unless others are named."""
        if name in self.by_name:
            return self.by_name[name]
        room = self.create_quietly(name, metadata=metadata)
        for agent_name in agents:
            self.dispatch(room, agent_dispatch.CreateAgentDispatchRequest(agent_name=agent_name, room=name))
        return room

    def create_quietly(self, name: str, *, metadata: str = "") -> Room:
        """The room of that name, made without any dispatch where it is new."""
        if name not in self.by_name:
            info = models.Room(sid=new_id("RM"), name=name, metadata=metadata, creation_time=int(time.time()))
            self.by_name[name] = Room(info=info)
        return self.by_name[name]

    async def delete(self, name: str) -> None:
        """Close a room. Only jobs whose participant joined are terminated, as on the real server. Raises NotFound."""
        room = self.room(name)
        del self.by_name[name]
        for identity in room.participants:
            await self._terminate_job_of(room, identity)

    def forget(self) -> None:
        """A server that starts anew knows no room."""
        self.by_name.clear()
        self._dispatcher.forget()

    # ── participants ─────────────────────────────────────────────────────────────────────────────────────────

    async def join(self, room_name: str, participant: models.ParticipantInfo) -> None:
        """Someone joins, which offers participant jobs; whoever had that identity is put out first."""
        room = self.create(room_name)
        if participant.identity in room.participants:
            await self.leave(room_name, participant.identity)
        if not participant.sid:
            participant.sid = new_id("PA")
        room.participants[participant.identity] = participant
        room.count()
        self._launch_for(room, participant, room.dispatches.values())

    def publish(self, room_name: str, identity: str) -> None:
        """The participant publishes its first track, which offers publisher jobs. Raises NotFound."""
        room = self.room(room_name)
        participant = self._participant(room, identity)
        participant.is_publisher = True
        self._launch_for(room, participant, room.dispatches.values(), types=(agent.JobType.JT_PUBLISHER,))

    async def leave(self, room_name: str, identity: str) -> None:
        """The participant leaves or is removed; an agent's job is terminated. Raises NotFound."""
        room = self.room(room_name)
        self._participant(room, identity)
        del room.participants[identity]
        room.count()
        await self._terminate_job_of(room, identity)

    @staticmethod
    def _participant(room: Room, identity: str) -> models.ParticipantInfo:
        try:
            return room.participants[identity]
        except KeyError:
            raise NotFound(f"participant does not exist: {identity}") from None

    async def _terminate_job_of(self, room: Room, identity: str) -> None:
        for dispatch in room.dispatches.values():
            for _, job in dispatch.jobs:
                if job.state.participant_identity == identity:
                    await self._dispatcher.terminate(job.id)

    # ── dispatches ───────────────────────────────────────────────────────────────────────────────────────────

    def dispatch(self, room: Room, request: agent_dispatch.CreateAgentDispatchRequest) -> Dispatch:
        """Add a dispatch and offer its jobs: one for the room, one for each participant and publisher."""
        dispatch = self.add_dispatch(room, request)
        self._dispatcher.start(self._launch_if_served(room, dispatch, agent.JobType.JT_ROOM, None))
        for participant in room.participants.values():
            self._launch_for(room, participant, [dispatch])
        return dispatch

    def add_dispatch(self, room: Room, request: agent_dispatch.CreateAgentDispatchRequest) -> Dispatch:
        """Add a dispatch that offers nothing by itself."""
        info = agent_dispatch.AgentDispatch(
            id=new_id("AD"),
            agent_name=request.agent_name,
            room=room.info.name,
            metadata=request.metadata,
            deployment=request.deployment,
            attributes=request.attributes,
        )
        info.state.created_at = time.time_ns()
        dispatch = Dispatch(info=info)
        room.dispatches[info.id] = dispatch
        return dispatch

    async def delete_dispatch(self, room_name: str, dispatch_id: str) -> agent_dispatch.AgentDispatch:
        """Take a dispatch away and terminate its jobs. Raises NotFound, so only one of two deleters succeeds."""
        dispatch = self.room(room_name).dispatches.pop(dispatch_id, None)
        if dispatch is None:
            raise NotFound(f"dispatch {dispatch_id} does not exist")
        for _, job in dispatch.jobs:
            await self._dispatcher.terminate(job.id)
        return dispatch.info

    async def delete_dispatch_of(self, job_id: str) -> None:
        """The same for the dispatch that made this job, if it is there."""
        for name, room in list(self.by_name.items()):
            for dispatch in room.dispatches.values():
                if any(job.id == job_id for _, job in dispatch.jobs):
                    await self.delete_dispatch(name, dispatch.info.id)
                    return

    def list_dispatches(self, room_name: str, dispatch_id: str = "") -> list[agent_dispatch.AgentDispatch]:
        """What ListDispatch answers: jobs late, and running for ever unless they were terminated at the offer."""
        found = []
        for dispatch in self.room(room_name).dispatches.values():
            if dispatch_id in ("", dispatch.info.id):
                info = agent_dispatch.AgentDispatch()
                info.CopyFrom(dispatch.info)
                info.state.jobs.extend(job for visible_at, job in dispatch.jobs if visible_at <= time.monotonic())
                found.append(info)
        return found

    async def launch(
        self, room: Room, dispatch: Dispatch, wire_type: agent.JobType, participant: models.ParticipantInfo | None
    ) -> OfferResult:
        """Offer one job of a dispatch and wait for what becomes of it."""
        job = agent.Job(
            id=new_id("AJ"),
            dispatch_id=dispatch.info.id,
            type=wire_type,
            room=room.info,
            participant=participant,
            metadata=dispatch.info.metadata,
            agent_name=dispatch.info.agent_name,
            deployment=dispatch.info.deployment,
            attributes=dispatch.info.attributes,
        )
        result = await self._dispatcher.launch(job)
        if result.outcome in (OfferOutcome.ASSIGNED, OfferOutcome.TERMINATED):
            if result.outcome is OfferOutcome.TERMINATED:
                job.state.status = agent.JobStatus.JS_SUCCESS
            dispatch.jobs.append((time.monotonic() + self._list_lag, job))
        return result

    async def _launch_if_served(
        self, room: Room, dispatch: Dispatch, wire_type: agent.JobType, participant: models.ParticipantInfo | None
    ) -> OfferResult | None:
        """A dispatch makes jobs only of the types that some worker of its name registered for."""
        probe = agent.Job(type=wire_type, agent_name=dispatch.info.agent_name, deployment=dispatch.info.deployment)
        if not self._dispatcher.has_worker(probe):
            return None
        return await self.launch(room, dispatch, wire_type, participant)

    def _launch_for(
        self,
        room: Room,
        participant: models.ParticipantInfo,
        dispatches: Iterable[Dispatch],
        *,
        types: Iterable[agent.JobType] = (agent.JobType.JT_PARTICIPANT, agent.JobType.JT_PUBLISHER),
    ) -> None:
        if participant.kind in DEPENDENT_KINDS:
            return
        for wire_type in types:
            if wire_type == agent.JobType.JT_PARTICIPANT or participant.is_publisher:
                for dispatch in dispatches:
                    self._dispatcher.start(self._launch_if_served(room, dispatch, wire_type, participant))
