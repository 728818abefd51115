"""`python -m tests.bench.voice [SUBJECT…]`: the same livekit-agents file under agenthost and its own host, real server.

Needs the extra `voice` in this environment, which both run in. Prints a table; times are medians, from the call of the
dispatch API until the session has started, so the server's part is in both. The burst is a crowd that is dispatched
at once, with no process waiting: the time is that until the last of those sessions has started.
"""

import asyncio
import secrets
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from livekit import api
from rich.console import Console
from rich.table import Table

from agenthost.livekit_server.build import ensure_installed
from tests.bench.subjects import AGENTS, Memory, Running, Subject, memory_of
from tests.support.polling import poll
from tests.support.real_server import RealLiveKitServer

IDLE = 4
JOBS = 6
CROWD = 20
SECONDS = 90.0
SETTLE_SECONDS = 3.0

Row = dict[str, float]


def subjects() -> tuple[Subject, ...]:
    ours = (sys.executable, "-m", "agenthost", "start", str(AGENTS / "voice.yaml"))
    peer = (sys.executable, "-m", "livekit.agents", "start", str(AGENTS / "voice_agent.py"))
    no_models = {"LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE": "0"}
    return (
        Subject(name="agenthost", argv=ours, env={"BENCH_HOST": "agenthost"}),
        Subject(name="agenthost, no local models", argv=ours, env={"BENCH_HOST": "agenthost"} | no_models),
        Subject(name="livekit-agents", argv=peer),
        Subject(name="livekit-agents, no local models", argv=peer, env=no_models),
    )


async def measure(subject: Subject, folder: Path, server: RealLiveKitServer) -> Row:
    """All figures of one column, each from a fresh start."""
    row: Row = {}
    async with api.LiveKitAPI(server.url, server.api_key, server.api_secret) as client:
        with running(subject, folder / "warm", server, idle=IDLE, hold=0.5) as warm:
            await notes(warm, "prewarm", IDLE)
            await asyncio.sleep(SETTLE_SECONDS)
            family = warm.memory()
            pids = {note.pid for note in warm.notes("prewarm")}
            idle = [found for pid in pids if (found := memory_of(pid)) is not None]
            row["idle: PSS of all processes, MiB"] = family.pss
            row["one idle process, USS, MiB"] = statistics.median(found.uss for found in idle)
            row["warm: dispatch → session started, ms"] = await latency(client, warm, folder.name + "-warm", IDLE)
        with running(subject, folder / "cold", server, idle=0, hold=0.5) as cold:
            await registered(client, cold, folder.name + "-cold")
            row["cold: dispatch → session started, ms"] = await latency(client, cold, folder.name + "-cold", 0)
            row[f"burst of {CROWD}: until the last session started, ms"] = await burst(client, cold, folder.name)
        with running(subject, folder / "crowd", server, idle=0, hold=SECONDS) as crowd:
            await registered(client, crowd, folder.name + "-crowd")
            before, first = crowd.memory(), len(crowd.notes("joined"))
            for number in range(CROWD):
                await dispatch(client, f"{folder.name}-crowd-{number}")
                await notes(crowd, "joined", first + number + 1)
            await asyncio.sleep(SETTLE_SECONDS)
            row |= per_session(before, crowd.memory())
    return row


def running(subject: Subject, folder: Path, server: RealLiveKitServer, *, idle: int, hold: float) -> Running:
    folder.mkdir(parents=True)
    return Running(subject, folder, server.environment, idle=idle, hold=hold, join=True)


async def latency(client: api.LiveKitAPI, subject: Running, prefix: str, idle: int) -> float:
    """One job after the other, each time with a full set of idle processes; the first one is not counted."""
    took = []
    before = len(subject.notes("joined"))
    for number in range(JOBS + 1):
        if idle:
            await notes(subject, "prewarm", idle + number)
        room = f"{prefix}-{number}"
        began = asyncio.get_running_loop().time()  # the monotonic clock, as in the notes
        await dispatch(client, room)
        await notes(subject, "joined", before + number + 1)
        took.append(next(note.at for note in subject.notes("joined") if note.what == room) - began)
    return 1000 * statistics.median(took[1:])


async def burst(client: api.LiveKitAPI, subject: Running, prefix: str) -> float:
    """From the first dispatch to the last session. A host that is full refuses some for a while, which counts, too."""
    await asyncio.sleep(SETTLE_SECONDS)  # the jobs before have ended
    before = len(subject.notes("joined"))
    began = asyncio.get_running_loop().time()
    await asyncio.gather(*(dispatch(client, f"{prefix}-burst-{number}") for number in range(CROWD)))
    await notes(subject, "joined", before + CROWD)
    return 1000 * (max(note.at for note in subject.notes("joined")) - began)


async def registered(client: api.LiveKitAPI, subject: Running, prefix: str) -> None:
    """Ask for it until it comes: the real server forgets a dispatch that no worker was there for."""
    deadline = asyncio.get_running_loop().time() + SECONDS
    while not subject.notes("joined"):
        assert asyncio.get_running_loop().time() < deadline, f"it never came:\n{subject.log.read_text()[-2000:]}"
        await dispatch(client, f"{prefix}-probe-{secrets.token_hex(4)}")
        await poll(lambda: subject.notes("joined"), timeout=SETTLE_SECONDS)
    await asyncio.sleep(SETTLE_SECONDS)


async def dispatch(client: api.LiveKitAPI, room: str) -> None:
    await client.agent_dispatch.create_dispatch(api.CreateAgentDispatchRequest(agent_name="bench", room=room))


async def notes(subject: Running, event: str, count: int) -> None:
    await poll(lambda: len(subject.notes(event)) >= count, timeout=SECONDS, what=f"{count} times {event!r}")


def per_session(before: Memory, after: Memory) -> Row:
    return {
        f"one of {CROWD} sessions, PSS, MiB": (after.pss - before.pss) / CROWD,
        f"one of {CROWD} sessions, USS, MiB": (after.uss - before.uss) / CROWD,
    }


async def main(names: Sequence[str]) -> int:
    binary = await ensure_installed(lambda step, detail: None)
    columns: dict[str, Row] = {}
    with tempfile.TemporaryDirectory() as name, RealLiveKitServer(binary, Path(name)) as server:
        for number, subject in enumerate(each for each in subjects() if not names or each.name in names):
            columns[subject.name] = await measure(subject, Path(name) / f"subject-{number}", server)
    table = Table("", *columns)
    for key in next(iter(columns.values())):
        table.add_row(key, *(f"{row[key]:.1f}" for row in columns.values()))
    Console(width=160).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
