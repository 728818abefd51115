"""`python -m tests.bench.run`: agenthost beside livekit-agents on this machine, one table.

Options: `--only start|warm|cold|burst|crowd|rooms` and `--subject NAME` (both repeatable), `--repeats N`. The table is
printed, and written into docs and README when everything was measured.
"""

import argparse
import asyncio
import datetime
import functools
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console

from agenthost.livekit_server.build import ensure_installed
from agenthost.version import __version__
from tests.bench import measure
from tests.bench.measure import Measure, Samples, merge
from tests.bench.peer import ensure_peer
from tests.bench.subjects import PEER_VERSION, Subject, subjects
from tests.bench.table import footnote, render, write

ROOT = Path(__file__).parents[2]
GROUPS = ("start", "warm", "cold", "burst", "crowd", "rooms")
console = Console(stderr=True)


def main(argv: Sequence[str] | None = None) -> int:
    options = parse(argv)
    peer = ensure_peer(ROOT / ".bench" / "peer")
    chosen = [s for s in subjects(peer) if not options.subject or s.name in options.subject]
    binary = asyncio.run(ensure_installed(lambda step, detail: None)) if "rooms" in options.only else None
    others = os.getloadavg()[0]
    measures = {group: measure_of(group, binary) for group in options.only}
    columns = asyncio.run(run_all(chosen, measures, options.repeats))
    text = render(columns) + "\n" + footnote(facts(options.repeats, binary, others))
    sys.stdout.write(text)
    if len(chosen) == len(subjects(peer)) and set(options.only) == set(GROUPS):
        tell_written(write("bench", text, ROOT))
    return 0


def tell_written(pages: Sequence[Path]) -> None:
    for page in pages:
        console.print(f"wrote {page.relative_to(ROOT)}")


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--only", action="append", choices=GROUPS, help="measure only this group (may be repeated)")
    parser.add_argument("--subject", action="append", help="measure only this column (may be repeated)")
    parser.add_argument("--repeats", type=int, default=3, help="fresh starts of everything (default 3)")
    options = parser.parse_args(argv)
    options.only = options.only or list(GROUPS)
    return options


async def run_all(chosen: Sequence[Subject], measures: Mapping[str, Measure], repeats: int) -> dict[str, Samples]:
    """Every measurement of every subject in turns, so that a slow minute of the machine hits all of them."""
    runs: dict[str, list[Samples]] = {subject.name: [] for subject in chosen}
    for number in range(repeats):
        for group, taken in measures.items():
            for subject in chosen if number % 2 == 0 else reversed(chosen):
                console.print(f"[{number + 1}/{repeats}] {group}: {subject.name}", highlight=False)
                with tempfile.TemporaryDirectory(prefix="bench-") as folder:
                    runs[subject.name].append(await taken(subject, Path(folder)))
    return {name: merge(samples) for name, samples in runs.items()}


def measure_of(group: str, binary: Path | None) -> Measure:
    if group == "rooms":
        assert binary is not None
        return functools.partial(measure.measure_rooms, binary=binary)
    return {
        "start": measure.measure_start,
        "warm": measure.measure_warm,
        "cold": measure.measure_cold,
        "burst": measure.measure_burst,
        "crowd": measure.measure_crowd,
    }[group]


def facts(repeats: int, binary: Path | None, others: float) -> list[str]:
    """What a reader must know to weigh the figures."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = [f"agenthost {__version__} ({_commit()})", f"livekit-agents {PEER_VERSION}"]
    if binary is not None:
        shown = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True)
        versions.append(shown.stdout.strip().replace(" version ", " "))
    return [
        ", ".join(versions),
        f"Python {platform.python_version()}, {platform.system()} {platform.release()}",
        f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB, load average {others:.1f} before the start",
        f"{repeats} repeat{'s' if repeats != 1 else ''}, {datetime.datetime.now(datetime.UTC):%Y-%m-%d}",
    ]


def _commit() -> str:
    git = shutil.which("git")
    if git is None:
        return "no git"
    shown = subprocess.run(
        [git, "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return shown.stdout.strip() or "no commit"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


if __name__ == "__main__":
    raise SystemExit(main())
