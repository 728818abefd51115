"""`python -m tests.bench.voice`: the same livekit-agents file under agenthost and under its own host, real server.

Needs the extra `voice` in this environment, which both run in. Options: `--only warm|cold|crowd|interruption`
(repeatable), `--repeats N`. Two tables, with and without local models (turn detector and the like, which templates and
the peer's inference process load), are printed, and written into docs and README when everything was measured.
"""

import argparse
import asyncio
import functools
import importlib.metadata
import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from livekit import api

from agenthost.livekit_server.build import ensure_installed
from tests.bench.interruption import measure_interruption
from tests.bench.measure import IDLE, SETTLE_SECONDS, Samples
from tests.bench.rooms import dispatch, latencies, notes, registered, started
from tests.bench.run import ROOT, facts, run_all, tell_written
from tests.bench.subjects import AGENTS, Running, Subject, memory_of
from tests.bench.table import Row, footnote, render, write

JOBS = 6
CROWD = 20
CROWD_HOLD = 90.0
FIRST = "dispatch → session started"

ROWS = (
    Row(samples="idle_pss", title=f"idle, {IDLE} idle processes: memory of all processes (PSS)", unit="MB", digits=0),
    Row(samples="idle_uss", title="one idle job process: private memory (USS)", unit="MB", digits=1),
    Row(samples="warm", title=f"warm: {FIRST}", unit="ms", digits=0),
    Row(samples="cold", title=f"no idle process: {FIRST}", unit="ms", digits=0),
    Row(samples="burst", title=f"burst of {CROWD}, no idle process: until the last session", unit="s", digits=1),
    Row(samples="session_pss", title=f"one of {CROWD} sessions: memory (PSS)", unit="MB", digits=1),
    Row(samples="session_uss", title=f"one of {CROWD} sessions: private memory (USS)", unit="MB", digits=1),
    Row(samples="interruption", title="somebody speaks → the agent is silent", unit="ms", digits=0),
)


def subjects() -> tuple[Subject, ...]:
    ours = (sys.executable, "-m", "agenthost", "start", str(AGENTS / "voice.yaml"))
    peer = (sys.executable, "-m", "livekit.agents", "start", str(AGENTS / "voice_agent.py"))
    return (
        Subject(name="agenthost", argv=ours, env={"BENCH_HOST": "agenthost"}),
        Subject(name=f"livekit-agents {importlib.metadata.version('livekit-agents')}", argv=peer),
    )


def without_models(subject: Subject) -> Subject:
    return replace(subject, env=dict(subject.env) | {"LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE": "0"})


async def measure_warm(subject: Subject, folder: Path, binary: Path) -> Samples:
    """What a full set of idle processes weighs, and how soon a session starts in one of them."""
    async with started(subject, folder, binary, idle=IDLE, hold=0.5) as (client, running):
        await notes(running, "prewarm", IDLE)
        await asyncio.sleep(SETTLE_SECONDS)
        pss = running.memory().pss
        idle = [found.uss for note in running.notes("prewarm") if (found := memory_of(note.pid)) is not None]
        took = await latencies(client, running, JOBS, idle=IDLE)
    return {"idle_pss": [pss], "idle_uss": [statistics.median(idle)], "warm": took}


async def measure_cold(subject: Subject, folder: Path, binary: Path) -> Samples:
    """How soon a session starts when no process waits: one after the other, then a crowd at once."""
    async with started(subject, folder, binary, idle=0, hold=0.5) as (client, running):
        await registered(client, running)
        took = await latencies(client, running, JOBS, idle=0)
        await asyncio.sleep(SETTLE_SECONDS)  # the jobs before have ended
        return {"cold": took, "burst": [await burst(client, running)]}


async def burst(client: api.LiveKitAPI, running: Running) -> float:
    """From the first dispatch to the last session. A host that is full refuses some for a while, which counts, too."""
    before = len(running.notes("joined"))
    began = asyncio.get_running_loop().time()  # the monotonic clock, as in the notes
    await asyncio.gather(*(dispatch(client, f"burst-{number}") for number in range(CROWD)))
    await notes(running, "joined", before + CROWD)
    return max(note.at for note in running.notes("joined")) - began


async def measure_crowd(subject: Subject, folder: Path, binary: Path) -> Samples:
    """What one of many sessions adds to the memory of all processes."""
    async with started(subject, folder, binary, idle=0, hold=CROWD_HOLD) as (client, running):
        await registered(client, running)
        await asyncio.sleep(SETTLE_SECONDS)
        before, first = running.memory(), len(running.notes("joined"))
        for number in range(CROWD):
            await dispatch(client, f"crowd-{number}")
            await notes(running, "joined", first + number + 1)
        await asyncio.sleep(SETTLE_SECONDS)
        after = running.memory()
    return {"session_pss": [(after.pss - before.pss) / CROWD], "session_uss": [(after.uss - before.uss) / CROWD]}


GROUPS = {
    "warm": measure_warm,
    "cold": measure_cold,
    "crowd": measure_crowd,
    "interruption": measure_interruption,
}


def main(argv: Sequence[str] | None = None) -> int:
    options = parse(argv)
    binary = asyncio.run(ensure_installed(lambda step, detail: None))
    others = os.getloadavg()[0]
    measures = {group: functools.partial(GROUPS[group], binary=binary) for group in options.only}
    parts = []
    for title, chosen in (
        ("With local models loaded, livekit-agents' default:", subjects()),
        ("Without (`LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE=0`):", tuple(map(without_models, subjects()))),
    ):
        columns = asyncio.run(run_all(chosen, measures, options.repeats))
        parts.append(f"{title}\n\n{render(columns, ROWS)}\n")
    text = "".join(parts) + footnote(facts(options.repeats, binary, others))
    sys.stdout.write(text)
    if set(options.only) == set(GROUPS):
        tell_written(write("voice bench", text, ROOT))
    return 0


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="voice bench", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--only", action="append", choices=tuple(GROUPS), help="measure only this group (repeatable)")
    parser.add_argument("--repeats", type=int, default=3, help="fresh starts of everything (default 3)")
    options = parser.parse_args(argv)
    options.only = options.only or list(GROUPS)
    return options


if __name__ == "__main__":
    raise SystemExit(main())
