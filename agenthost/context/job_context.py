"""`JobContext`: what an entrypoint is given. Runs in job processes; names and defaults are those of livekit-agents."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from agenthost.context.api import delete_room
from agenthost.context.auto_subscribe import AutoSubscribe, subscribe_by_kind
from agenthost.context.calls import name_of, takes
from agenthost.context.job_parts import JobParts, ShutdownCallback
from agenthost.context.job_process import JobProcess
from agenthost.context.participants import Kind, default_kinds

if TYPE_CHECKING:
    from livekit import rtc
    from livekit.api import DeleteRoomResponse, LiveKitAPI, SIPParticipantInfo, TransferSIPParticipantResponse
    from livekit.api.access_token import Claims
    from livekit.protocol.agent import Job
    from livekit.protocol.models import ParticipantInfo

ParticipantEntrypoint = Callable[["JobContext", "rtc.RemoteParticipant"], Awaitable[None]]


class JobContext:
    """One job: its room, its facts, and how it ends. agenthost makes it; user code is given it.

    A job ends when `shutdown` is called, when its room is closed or left, when the entrypoint raises, or when the
    entrypoint returns without ever having connected. An entrypoint that returns while connected leaves its job
    running: handlers and tasks go on until the room ends it.
    """

    def __init__(self, parts: JobParts) -> None:
        self._parts = parts
        self._connecting = asyncio.Lock()
        self._settings = MappingProxyType(dict(parts.info.settings))

    def __repr__(self) -> str:
        return f"<JobContext {self.job.id} room={self.room.name!r}>"

    # ── facts ────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def job(self) -> "Job":
        """The server's own message: id, dispatch_id, type, room, participant, metadata, agent_name, attributes …"""
        return self._parts.info.job

    @property
    def proc(self) -> JobProcess:
        """The process of this job; `proc.userdata` is what prewarm left."""
        return self._parts.process

    @property
    def worker_id(self) -> str:
        """The id that the LiveKit server gave the registration this job came through."""
        return self._parts.info.worker_id

    @property
    def settings(self) -> Mapping[str, Any]:
        """The agent's `settings` in the file, as they were when this job started; read-only."""
        return self._settings

    @property
    def attempt(self) -> int:
        """1, and one more each time this job was brought back after it failed or was lost."""
        return self._parts.info.attempt

    @property
    def publisher(self) -> "ParticipantInfo | None":
        """The participant a publisher or participant job is about; None for room jobs."""
        return self.job.participant if self.job.HasField("participant") else None

    @property
    def url(self) -> str:
        """Of the LiveKit server that this job's room is on, as `livekit.rtc.Room.connect` takes it."""
        return self._parts.info.url

    @property
    def token(self) -> str:
        """What this job joins its room with, for code that does so by itself instead of calling `connect`.

        Whoever is in the room with it is this job: it counts as connected, and ends when that room is left.
        """
        return self._parts.info.token

    def token_claims(self) -> "Claims":
        """What the token this job joins with says: identity, name, grants. Its signature is not verified."""
        from livekit.api import TokenVerifier

        return TokenVerifier().verify(self._parts.info.token, verify_signature=False)

    @property
    def log_context_fields(self) -> dict[str, Any]:
        """Fields that are added to every log record of this job. Change the dict, or assign another."""
        return self._parts.log_fields

    @log_context_fields.setter
    def log_context_fields(self, fields: Mapping[str, Any]) -> None:
        replacement = dict(fields)  # first: `fields` may be the very dict that is emptied
        self._parts.log_fields.clear()
        self._parts.log_fields.update(replacement)

    # ── the room ─────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def room(self) -> "rtc.Room":
        """The room of this job. Its `name` is known before `connect`; register handlers before it, too."""
        return self._parts.room

    @property
    def agent(self) -> "rtc.LocalParticipant":
        """The agent's own participant; an error before `connect`."""
        return self._parts.room.local_participant

    async def connect(
        self,
        *,
        encryption: "rtc.E2EEOptions | None" = None,
        auto_subscribe: AutoSubscribe = AutoSubscribe.SUBSCRIBE_ALL,
        rtc_config: "rtc.RtcConfiguration | None" = None,
    ) -> None:
        """Join the room. A second call returns once the first has joined, and changes nothing.

        `encryption`: end-to-end encryption, which clients must use as well (default: none). `auto_subscribe`: which
        tracks to receive without asking for each (default: all). `rtc_config`: WebRTC settings.
        Raises `livekit.rtc.ConnectError` when the server cannot be reached or refuses; it may be called again then.
        """
        from livekit.rtc import RoomOptions

        async with self._connecting:
            if self._parts.room.joined:
                return
            options = RoomOptions(
                auto_subscribe=auto_subscribe == AutoSubscribe.SUBSCRIBE_ALL,
                encryption=encryption,
                rtc_config=rtc_config,
            )
            await self._parts.room.connect(self._parts.info.url, self._parts.info.token, options)
            subscribe_by_kind(self._parts.room, auto_subscribe)

    async def wait_for_participant(
        self, *, identity: str | None = None, kind: Collection[Kind] | Kind | None = None
    ) -> "rtc.RemoteParticipant":
        """The first participant in the room, now or later; connects when that was not done.

        `identity`: only this one (default: anyone). `kind`: one or several `livekit.rtc.ParticipantKind` (default:
        standard, SIP and connector). Raises RuntimeError when the room is left or the job ends before one comes.
        """
        await self.connect()
        return await self._parts.participants.wait(identity, _kinds(kind))

    def add_participant_entrypoint(
        self, entrypoint_fnc: ParticipantEntrypoint, *, kind: Collection[Kind] | Kind | None = None
    ) -> None:
        """Run `entrypoint_fnc(ctx, participant)` in a task for everyone who is in the room or joins it.

        `kind` as in `wait_for_participant`. An error in it is logged and ends neither the job nor the other tasks. When
        the job ends, and its entrypoint with it, these tasks are cancelled.
        Raises ValueError when the same function is added twice.
        """
        self._parts.participants.add_entrypoint(entrypoint_fnc, partial(entrypoint_fnc, self), _kinds(kind))

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────

    def shutdown(self, reason: str = "user requested") -> None:
        """End this job, as a success. Returns at once; the first reason given is the one that is reported."""
        self._parts.end(reason)

    def add_shutdown_callback(self, callback: ShutdownCallback) -> None:
        """Call `callback()` or `callback(reason)`, sync or async, when the job ends, after the room was left.

        All callbacks run at the same time and have `limits.shutdown` (default 10 s) together; an error in one is
        logged and holds up none of the others. Raises TypeError when it needs more than the reason.
        """
        if not (takes(callback, 0) or takes(callback, 1)):
            raise TypeError(f"the shutdown callback {name_of(callback)} must take nothing, or the reason alone")
        self._parts.shutdown_callbacks.append(callback)

    # ── the server API ───────────────────────────────────────────────────────────────────────────────────────

    @property
    def api(self) -> "LiveKitAPI":
        """The server API, allowed what `livekit.job_grants` in the file says: by default to administer this job's room,
        create rooms, record, and place SIP calls. The error of a call that it may not make says which grant is missing.

        One client for the whole job, closed with it. The first use imports livekit.api, which takes about 0.1 s:
        import it in your module, or list it under `preload`, when that matters during a call.
        """
        return self._parts.api.client

    def delete_room(self, room_name: str | None = None) -> "asyncio.Future[DeleteRoomResponse]":
        """Delete a room (default: this job's) and with it everyone's call. Await it, or do not: it runs at once."""
        return self._parts.api.start(delete_room(self._parts.api, room_name or self.room.name), "delete_room")

    def add_sip_participant(
        self, *, call_to: str, trunk_id: str, participant_identity: str, participant_name: str = "SIP-participant"
    ) -> "asyncio.Future[SIPParticipantInfo]":
        """Call a phone and bring it into this room. Await it, or do not: it runs at once.

        `call_to`: a number (`+12345555555`) or a SIP address; `trunk_id`: an outbound SIP trunk of the server.
        """
        from livekit.api import CreateSIPParticipantRequest

        request = CreateSIPParticipantRequest(
            room_name=self.room.name,
            sip_trunk_id=trunk_id,
            sip_call_to=call_to,
            participant_identity=participant_identity,
            participant_name=participant_name,
        )
        return self._parts.api.start(self.api.sip.create_sip_participant(request), "add_sip_participant")

    def transfer_sip_participant(
        self, participant: "rtc.RemoteParticipant | str", transfer_to: str, play_dialtone: bool = False
    ) -> "asyncio.Future[TransferSIPParticipantResponse]":
        """Hand a phone call over to `transfer_to`, a number or SIP address. Await it, or do not: it runs at once.

        `participant`: the one who phones, or their identity. Raises ValueError for a participant who does not.
        """
        from livekit.api import TransferSIPParticipantRequest
        from livekit.rtc import ParticipantKind

        if not isinstance(participant, str) and participant.kind != ParticipantKind.PARTICIPANT_KIND_SIP:
            raise ValueError("only a SIP participant can be transferred: this one joined in another way")
        request = TransferSIPParticipantRequest(
            room_name=self.room.name,
            participant_identity=participant if isinstance(participant, str) else participant.identity,
            transfer_to=transfer_to,
            play_dialtone=play_dialtone,
        )
        return self._parts.api.start(self.api.sip.transfer_sip_participant(request), "transfer_sip_participant")


def _kinds(kind: Collection[Kind] | Kind | None) -> Collection[Kind]:
    if kind is None:
        return default_kinds()
    return (kind,) if isinstance(kind, int) else tuple(kind)
