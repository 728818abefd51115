"""The measurements: each starts one subject afresh, and gives samples by the name of the row they belong to.

Times are taken on both sides with the machine's monotonic clock, so they can be subtracted.
"""

import asyncio
import math
import statistics
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from livekit import api

from agenthost.testing.livekit_server import FakeLiveKitServer
from agenthost.testing.values import OfferResult
from tests.bench.subjects import Running, Subject, memory_of
from tests.support.polling import poll
from tests.support.real_server import RealLiveKitServer

Samples = Mapping[str, list[float]]
Measure = Callable[[Subject, Path], Awaitable[Samples]]

AGENT = "bench"
IDLE = 4
START_SECONDS = 60.0
SETTLE_SECONDS = 3.0
STILL_SECONDS = 10.0
WARM_JOBS = 20
COLD_JOBS = 10
BURST = 60
BURST_SECONDS = 60.0
CROWDS = (50, 500)
CROWD_SECONDS = 60.0
ROOMS = 30
ROOMS_SECONDS = 45.0


def fake_server() -> FakeLiveKitServer:
    """One that makes all offers at once: what a worker can take is the question here, not what the server allows."""
    return FakeLiveKitServer(slots=1000)


async def measure_start(subject: Subject, folder: Path) -> Samples:
    """Start until registered, then what it costs to stand idle."""
    async with fake_server() as server:
        with Running(subject, folder, server.environment, idle=IDLE, hold=1, join=False) as running:
            await wait_registered(server, running)
            started = server.workers[-1].registered_at - running.started_at
            await wait_idle(running, IDLE)
            await asyncio.sleep(SETTLE_SECONDS)  # until what start-up left to do is done
            idle_pids = {note.pid for note in running.notes("prewarm")}
            memory, before = running.memory(), running.cpu_seconds()
            await asyncio.sleep(STILL_SECONDS)
            used = running.cpu_seconds() - before
            idle = [found for pid in idle_pids if (found := memory_of(pid)) is not None]
            return {
                "start": [started],
                "idle_pss": [memory.pss],
                "idle_cpu": [100 * used / STILL_SECONDS],
                "idle_process_pss": [statistics.median(found.pss for found in idle)],
                "idle_process_uss": [statistics.median(found.uss for found in idle)],
            }


async def measure_warm(subject: Subject, folder: Path) -> Samples:
    """One job after the other, each time with a full set of idle processes."""
    async with fake_server() as server:
        with Running(subject, folder, server.environment, idle=IDLE, hold=1, join=False) as running:
            await wait_registered(server, running)
            results = []
            for number in range(WARM_JOBS):
                await wait_idle(running, IDLE + number)
                results.append(await offer(server, number))
                await wait_entries(running, number + 1)
            return {
                "warm": latencies(running, {r.room: r.assigned_at for r in results}),
                "warm_offer": latencies(running, {r.room: r.offered_at for r in results}),
            }


async def measure_cold(subject: Subject, folder: Path) -> Samples:
    """The same with no idle process at all, the very first apart.

    From the assignment on, and from the offer on: one side starts the process before it answers, the other after it.
    """
    async with fake_server() as server:
        with Running(subject, folder, server.environment, idle=0, hold=1, join=False) as running:
            await wait_registered(server, running)
            await asyncio.sleep(SETTLE_SECONDS)
            results = []
            for number in range(COLD_JOBS):
                results.append(await offer(server, number))
                await wait_entries(running, number + 1)
            first, *rest = latencies(running, {r.room: r.assigned_at for r in results})
            first_offer, *rest_offer = latencies(running, {r.room: r.offered_at for r in results})
            return {
                "cold_first": [first],
                "cold": rest,
                "cold_offer_first": [first_offer],
                "cold_offer": rest_offer,
            }


async def measure_burst(subject: Subject, folder: Path) -> Samples:
    """Sixty offers at once: how many are accepted, how many run, and when the last one entered its entrypoint."""
    async with fake_server() as server:
        with Running(subject, folder, server.environment, idle=IDLE, hold=BURST_SECONDS, join=False) as running:
            await wait_registered(server, running)
            await wait_idle(running, IDLE)
            await asyncio.sleep(SETTLE_SECONDS)
            results = await asyncio.gather(*(offer(server, number) for number in range(BURST)))
            accepted = [result for result in results if result.assigned]
            await poll(lambda: len(running.notes("entry")) >= len(accepted), timeout=BURST_SECONDS / 2)
            entries = [note.at for note in running.notes("entry")]
            first = min(result.offered_at for result in results)
            await asyncio.sleep(SETTLE_SECONDS)
            jobs = [found.uss for note in running.notes("entry") if (found := memory_of(note.pid)) is not None]
            return {
                "burst_accepted": [float(len(accepted))],
                "burst_running": [float(len(entries))],
                "burst_seconds": [max(entries) - first] if entries else [],
                "running_uss": [statistics.median(jobs)] if jobs else [],
            }


async def measure_crowd(subject: Subject, folder: Path) -> Samples:
    """Many jobs at a time, as fast as the real server offers them (50 under way): does the cost per job stay?"""
    samples: dict[str, list[float]] = {}
    for count in CROWDS if subject.crowds else ():
        place = folder / str(count)
        place.mkdir()
        async with FakeLiveKitServer() as server:
            with Running(subject, place, server.environment, idle=IDLE, hold=CROWD_SECONDS, join=False) as running:
                await wait_registered(server, running)
                await wait_idle(running, IDLE)
                await asyncio.sleep(SETTLE_SECONDS)
                before = running.cpu_seconds()
                results = await asyncio.gather(*(offer(server, number) for number in range(count)))
                await wait_entries(running, sum(result.assigned for result in results))
                used = running.cpu_seconds() - before
                entries = [note.at for note in running.notes("entry")]
                took = max(entries, default=math.nan) - min(result.offered_at for result in results)
                samples[f"crowd_{count}_running"] = [float(len(entries))]
                samples[f"crowd_{count}_per_job"] = [1000 * took / len(entries)] if entries else []
                samples[f"crowd_{count}_cpu"] = [1000 * used / len(entries)] if entries else []
                samples[f"crowd_{count}_pss"] = [running.memory().pss / len(entries)] if entries else []
    return samples


async def measure_rooms(subject: Subject, folder: Path, binary: Path) -> Samples:
    """Thirty dispatches at once on a real server: who joins, how long it takes, what a joined job weighs."""
    with (
        RealLiveKitServer(binary, folder) as server,
        Running(subject, folder, server.environment, idle=IDLE, hold=ROOMS_SECONDS, join=True) as running,
    ):
        await wait_idle(running, IDLE)
        await asyncio.sleep(SETTLE_SECONDS)
        async with api.LiveKitAPI(server.url, server.api_key, server.api_secret) as client:
            began = asyncio.get_running_loop().time()
            await asyncio.gather(*(dispatch(client, number) for number in range(ROOMS)))
        await poll(lambda: len(running.notes("joined")) >= ROOMS, timeout=ROOMS_SECONDS / 2)
        joined = running.notes("joined")
        weights = [found.pss for note in joined if (found := memory_of(note.pid)) is not None]
        samples = {"rooms_joined": [float(len(joined))], "rooms_total_pss": [running.memory().pss]}
        if joined:
            took = max(note.at for note in joined) - began
            samples |= {"rooms_seconds": [took], "rooms_per_job": [took / len(joined)]}
        return samples | ({"rooms_pss": [statistics.mean(weights)]} if weights else {})


async def wait_registered(server: FakeLiveKitServer, running: Running) -> None:
    """Raises RuntimeError with its log when the subject ends, or does not come in a minute."""
    await poll(lambda: server.workers or not running.alive, timeout=START_SECONDS)
    if not server.workers:
        raise RuntimeError(f"{running.subject.name} did not register:\n{running.log.read_text()[-2000:]}")


async def wait_idle(running: Running, count: int) -> None:
    """Until so many processes were prewarmed since the start: with the jobs so far taken off, the idle set is full."""
    what = f"{running.subject.name} has not prewarmed {count} processes; see {running.log}"
    await poll(lambda: len(running.notes("prewarm")) >= count or not running.alive, timeout=START_SECONDS, what=what)
    if not running.alive:
        raise RuntimeError(f"{running.subject.name} has ended by itself:\n{running.log.read_text()[-2000:]}")


async def wait_entries(running: Running, count: int) -> None:
    await poll(
        lambda: len(running.notes("entry")) >= count, timeout=30, what=f"{running.subject.name}: no {count}. entrypoint"
    )


async def offer(server: FakeLiveKitServer, number: int) -> OfferResult:
    return await server.offer(f"room-{number}", agent_name=AGENT)


async def dispatch(client: api.LiveKitAPI, number: int) -> None:
    await client.agent_dispatch.create_dispatch(api.CreateAgentDispatchRequest(agent_name=AGENT, room=f"room-{number}"))


def latencies(running: Running, since: Mapping[str, float | None]) -> list[float]:
    """Milliseconds from a moment of each room's offer to its entrypoint; jobs that never started are missing."""
    entered = {note.what: note.at for note in running.notes("entry")}
    return [(entered[room] - at) * 1000 for room, at in since.items() if room in entered and at is not None]


def merge(runs: list[Samples]) -> Samples:
    """The samples of several runs together, in their order."""
    merged: defaultdict[str, list[float]] = defaultdict(list)
    for run in runs:
        for row, values in run.items():
            merged[row].extend(values)
    return dict(merged)
