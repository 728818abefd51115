"""A process full of persons who call: a room's name on stdin places a call, a line on stdout tells how it went.

`python -m tests.chaos.callers PATIENCE_SECONDS`; the server is found by the usual three variables. It ends when stdin
does and the last person has left. livekit.rtc keeps some twenty descriptors of every room it has left, so a process is
for some hundred calls.
"""

import asyncio
import contextlib
import logging
import os
import sys
import time

from livekit import api, rtc

from tests.chaos.calls import GAVE_UP, GOODBYE, Call

AGENT = "chaos-talk"
KIND_AGENT = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT


class Person:
    """Calls, listens, and leaves: after the goodbye, or when nobody was heard for `patience` seconds."""

    def __init__(self, room: str, patience: float) -> None:
        self.call = Call(room=room, began=time.time())
        self._patience = patience
        self._room = rtc.Room()
        self._heard = asyncio.Event()
        self._goodbye = False
        self._room.on("data_received", self._hear)
        self._room.on("participant_connected", self._came)
        self._room.on("participant_disconnected", self._went)
        self._room.on("disconnected", lambda reason: self._note(f"thrown out: {reason}"))

    async def run(self, client: api.LiveKitAPI) -> Call:
        """The whole call. What breaks on this side is its end, not an error of the hosts."""
        try:
            await self._dial(client)
            await self._listen()
        except Exception as error:  # a person that cannot call is told apart from one that is not served
            self.call.end = f"{type(error).__name__}: {error}"
        finally:
            await self._room.disconnect()
        return self.call

    async def _dial(self, client: api.LiveKitAPI) -> None:
        token = api.AccessToken(os.environ["LIVEKIT_API_KEY"], os.environ["LIVEKIT_API_SECRET"])
        token = token.with_identity("caller").with_grants(api.VideoGrants(room_join=True, room=self.call.room))
        await self._room.connect(os.environ["LIVEKIT_URL"], token.to_jwt())
        await client.agent_dispatch.create_dispatch(
            api.CreateAgentDispatchRequest(agent_name=AGENT, room=self.call.room)
        )
        self._note("called")

    async def _listen(self) -> None:
        since = time.monotonic()
        while not self._goodbye:
            self._heard.clear()
            try:
                async with asyncio.timeout(self._patience):
                    await self._heard.wait()
            except TimeoutError:
                self.call.end = GAVE_UP
            now = time.monotonic()
            self.call.silence = max(self.call.silence, now - since)
            since = now
            if self.call.end:
                return
        self.call.end = GOODBYE

    def _hear(self, packet: rtc.DataPacket) -> None:
        if packet.participant is not None:  # else its sender has left meanwhile
            self._take_down(packet.participant.identity)
        self._goodbye = self._goodbye or packet.topic == "bye"
        self._heard.set()

    def _take_down(self, who: str) -> None:
        if self.call.voices[-1:] != [who]:
            self._note(f"hears {who}")
            self.call.voices.append(who)

    def _came(self, participant: rtc.RemoteParticipant) -> None:
        agents = [one for one in self._room.remote_participants.values() if one.kind == KIND_AGENT]
        self.call.ghosts += len(agents) > 1
        self._note(f"{participant.identity} comes")

    def _went(self, participant: rtc.RemoteParticipant) -> None:
        self._note(f"{participant.identity} goes")

    def _note(self, what: str) -> None:
        self.call.notes.append((time.time(), what))


async def serve(patience: float) -> None:
    """Place calls until stdin ends and all are over."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with api.LiveKitAPI() as client, asyncio.TaskGroup() as calls:
        async for line in reader:
            calls.create_task(_call(line.decode().strip(), patience, client))


async def _call(room: str, patience: float, client: api.LiveKitAPI) -> None:
    call = await Person(room, patience).run(client)
    sys.stdout.write(f"{call.to_line()}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    logging.getLogger("livekit").setLevel(logging.CRITICAL)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(float(sys.argv[1])))
