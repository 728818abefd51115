"""What the measurements of livekit-agents code share: a subject beside a real server, dispatches, and its notes."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from livekit import api

from tests.bench.measure import AGENT, SETTLE_SECONDS
from tests.bench.subjects import Running, Subject
from tests.support.polling import poll
from tests.support.real_server import RealLiveKitServer

SECONDS = 90.0


@asynccontextmanager
async def started(
    subject: Subject, folder: Path, binary: Path, *, idle: int, hold: float
) -> AsyncIterator[tuple[api.LiveKitAPI, Running]]:
    """The subject on a server of its own, with a client of that server."""
    with (
        RealLiveKitServer(binary, folder) as server,
        Running(subject, folder, server.environment, idle=idle, hold=hold, join=True) as running,
    ):
        async with api.LiveKitAPI(server.url, server.api_key, server.api_secret) as client:
            yield client, running


async def latencies(client: api.LiveKitAPI, running: Running, jobs: int, *, idle: int) -> list[float]:
    """Milliseconds from each dispatch to its session, one after the other, each with a full set of idle processes.

    From the call of the server's API, so its part is in them; one more job goes first and is not counted.
    """
    took = []
    for number in range(jobs + 1):
        if idle:
            await notes(running, "prewarm", idle + number)
        room, before = f"one-{number}", len(running.notes("joined"))
        began = asyncio.get_running_loop().time()  # the monotonic clock, as in the notes
        await dispatch(client, room)
        await notes(running, "joined", before + 1)
        took.append(1000 * (next(note.at for note in running.notes("joined") if note.what == room) - began))
    return took[1:]


async def registered(client: api.LiveKitAPI, running: Running) -> None:
    """Ask for it until it comes: the real server forgets a dispatch that no worker was there for."""
    deadline = asyncio.get_running_loop().time() + SECONDS
    while not running.notes("joined"):
        assert asyncio.get_running_loop().time() < deadline, f"it never came:\n{running.log.read_text()[-2000:]}"
        await dispatch(client, f"probe-{secrets.token_hex(4)}")
        await poll(lambda: running.notes("joined"), timeout=SETTLE_SECONDS)
    await asyncio.sleep(SETTLE_SECONDS)


async def dispatch(client: api.LiveKitAPI, room: str) -> None:
    await client.agent_dispatch.create_dispatch(api.CreateAgentDispatchRequest(agent_name=AGENT, room=room))


async def notes(running: Running, event: str, count: int) -> None:
    await poll(lambda: len(running.notes(event)) >= count, timeout=SECONDS, what=f"{count} times {event!r}")
