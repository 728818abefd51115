"""Finds jobs whose end the server never told, and jobs that another program has joined for: one ListRooms every 30 s,
and only while there is a job to ask about.

Runs on the host's loop. Terminations get lost: there is none for a job that never joined when its room closes, none
for a job whose registration has reconnected since, and no second one for a job that went on after the first.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct

from agenthost.errors import AgentHostError
from agenthost.internal_errors import InternalErrors
from agenthost.jobs import RoomInfo
from agenthost.logs.events import EventLogger
from agenthost.metrics import InternalPart
from agenthost.recovery.server_api import ServerApi
from agenthost.recovery.terminations import dispatch_stands

CHECK_SECONDS = 30.0


class DoubtfulJob(Struct, frozen=True, kw_only=True):
    """A job that the server may have forgotten. `joined`: it was in its room once; `connected`: it says that it is in
    it now, and knows better than a list of rooms, which is another node's word, or a server's that has just started.

    `identity`: of its participant, where its process has not joined ("": it has); another program may have.
    `dispatch_id`: the job is to end with this dispatch, and the server would not tell ("": a restarted server forgets
    dispatches while their calls go on, so their end says nothing).
    """

    job_id: str
    room: str
    sid: str
    joined: bool
    connected: bool = False
    identity: str = ""
    dispatch_id: str = ""
    server: ServerApi


def is_gone(job: DoubtfulJob, rooms: Iterable[RoomInfo]) -> bool:
    """Whether the job's room is not there.

    A job that has joined keeps its connection over a restart of the server, which gives the room a new sid: for it only
    the name counts. One that has not joined was sent to the room of its sid and to no other.
    """
    return not any(room.name == job.room and (job.joined or room.sid == job.sid) for room in rooms)


class RoomCheck:
    """`doubtful` gives the jobs to ask about, `close` ends one whose room is gone, `terminate` one without dispatch.

    `found` is told of one whose participant is in its room, and how many are there that are no agents.
    """

    def __init__(
        self,
        *,
        doubtful: Callable[[], Sequence[DoubtfulJob]],
        close: Callable[[str], None],
        terminate: Callable[[str], None],
        found: Callable[[str, int], None],
        log: EventLogger,
        errors: InternalErrors,
        seconds: float = CHECK_SECONDS,
    ) -> None:
        self._doubtful = doubtful
        self._close = close
        self._terminate = terminate
        self._found = found
        self._log = log
        self._errors = errors
        self._seconds = seconds
        self._missed: Counter[str] = Counter()

    async def run(self) -> None:
        """Look again and again; the owner's task, ended by cancelling it."""
        while True:
            await asyncio.sleep(self._seconds)
            with self._errors.contained(InternalPart.RECOVERY):
                await self.look()

    async def look(self) -> None:
        """One look, at each server once. A server that cannot be asked ends no job; one that fails stops no other."""
        jobs = self._doubtful()
        missed = self._missed
        self._missed = Counter({job.job_id: missed[job.job_id] for job in jobs if not job.connected})
        for server, theirs in _by_server(jobs).items():
            with self._errors.contained(InternalPart.RECOVERY):
                await self._look_at(server, theirs)

    async def _look_at(self, server: ServerApi, jobs: Sequence[DoubtfulJob]) -> None:
        unsure = [job for job in jobs if not job.connected]
        if unsure and not await self._check_rooms(server, unsure):
            return
        for job in jobs:
            with self._errors.contained(InternalPart.RECOVERY, job_id=job.job_id):
                await self._check_dispatch(job)

    async def _check_rooms(self, server: ServerApi, jobs: Sequence[DoubtfulJob]) -> bool:
        """False when the server cannot be asked."""
        try:
            rooms = await server.list_rooms({job.room for job in jobs})
        except AgentHostError as error:
            self._log.debug("rooms not checked", error=str(error))
            return False
        self._log.debug("rooms checked", jobs=len(jobs), rooms=len(rooms))
        for job in jobs:
            with self._errors.contained(InternalPart.RECOVERY, job_id=job.job_id):
                self._judge(job, rooms)
                if job.identity and not is_gone(job, rooms):
                    await self._look_for(job)
        return True

    def _judge(self, job: DoubtfulJob, rooms: Sequence[RoomInfo]) -> None:
        """A server that has just started knows no room until the first client is back: a joined job gets two looks."""
        self._missed[job.job_id] = self._missed[job.job_id] + 1 if is_gone(job, rooms) else 0
        if self._missed[job.job_id] >= (2 if job.joined else 1):
            self._close(job.job_id)

    async def _look_for(self, job: DoubtfulJob) -> None:
        try:
            members = await job.server.list_members(job.room)
        except AgentHostError as error:
            self._log.debug("members not checked", error=str(error))
            return
        if any(member.identity == job.identity for member in members):
            self._found(job.job_id, sum(member.kind != "agent" for member in members))

    async def _check_dispatch(self, job: DoubtfulJob) -> None:
        if not job.dispatch_id:
            return
        try:
            stands = await dispatch_stands(job.server, room=job.room, dispatch_id=job.dispatch_id)
        except AgentHostError as error:
            self._log.debug("dispatch not checked", error=str(error))
            return
        if not stands:
            self._terminate(job.job_id)


def _by_server(jobs: Sequence[DoubtfulJob]) -> Mapping[ServerApi, list[DoubtfulJob]]:
    found: dict[ServerApi, list[DoubtfulJob]] = {}
    for job in jobs:
        found.setdefault(job.server, []).append(job)
    return found
