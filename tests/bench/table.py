"""From samples to a Markdown table, and where it is written: docs/bench.md and README, between two markers each."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.measure import BURST, CROWDS, IDLE, ROOMS, Samples

PAGES = ("README.md", "docs/bench.md")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line. `samples` names what is measured; `ratio`: whether less is better and worth a factor."""

    samples: str
    title: str
    unit: str
    digits: int
    ratio: bool = True


def _crowd(count: int) -> tuple[Row, ...]:
    title, samples = f"{count} jobs at a time", f"crowd_{count}"
    return (
        Row(samples=f"{samples}_running", title=f"{title}: in their entrypoint", unit="", digits=0, ratio=False),
        Row(samples=f"{samples}_per_job", title=f"{title}: until the last, per job", unit="ms", digits=1),
        Row(samples=f"{samples}_cpu", title=f"{title}: processor time of all processes, per job", unit="ms", digits=1),
        Row(samples=f"{samples}_pss", title=f"{title}: memory of all processes (PSS), per job", unit="MB", digits=1),
    )


ROWS = (
    Row(samples="start", title="start → registered", unit="s", digits=2),
    Row(samples="idle_pss", title=f"idle, {IDLE} idle processes: memory of all processes (PSS)", unit="MB", digits=0),
    Row(samples="idle_process_pss", title="one idle job process: memory (PSS)", unit="MB", digits=1),
    Row(samples="idle_process_uss", title="one idle job process: private memory (USS)", unit="MB", digits=1),
    Row(samples="idle_cpu", title="idle: processor time of all processes", unit="% of a core", digits=1),
    Row(samples="warm", title="warm: assignment → entrypoint", unit="ms", digits=1),
    Row(samples="warm_offer", title="warm: offer → entrypoint", unit="ms", digits=1),
    Row(samples="cold_first", title="no idle process: assignment → entrypoint, the very first", unit="ms", digits=1),
    Row(samples="cold", title="no idle process: assignment → entrypoint, after it", unit="ms", digits=1),
    Row(samples="cold_offer_first", title="no idle process: offer → entrypoint, the very first", unit="ms", digits=1),
    Row(samples="cold_offer", title="no idle process: offer → entrypoint, after it", unit="ms", digits=1),
    Row(samples="burst_accepted", title=f"burst of {BURST} offers: accepted", unit="", digits=0, ratio=False),
    Row(samples="burst_running", title=f"burst of {BURST} offers: in their entrypoint", unit="", digits=0, ratio=False),
    Row(samples="burst_seconds", title=f"burst of {BURST} offers: until the last of those", unit="s", digits=2),
    Row(samples="running_uss", title="one running job, not joined: private memory (USS)", unit="MB", digits=1),
    *(row for count in CROWDS for row in _crowd(count)),
    Row(samples="rooms_joined", title=f"burst of {ROOMS} rooms, real server: joined", unit="", digits=0, ratio=False),
    Row(samples="rooms_seconds", title=f"burst of {ROOMS} rooms: until the last joined", unit="s", digits=2),
    Row(samples="rooms_per_job", title=f"burst of {ROOMS} rooms: per joined job", unit="s", digits=3),
    Row(samples="rooms_total_pss", title=f"{ROOMS} joined jobs: memory of all processes (PSS)", unit="MB", digits=0),
    Row(samples="rooms_pss", title=f"one of {ROOMS} jobs joined to its room: memory (PSS)", unit="MB", digits=1),
)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest sample that at least `share` (0..1) of all samples do not exceed; NaN of no samples."""
    if not values:
        return math.nan
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def cell(values: Sequence[float], row: Row) -> str:
    """p50, and p95 and max where there are enough samples to tell them apart."""
    if not values:
        return "–"
    numbers = [percentile(values, share) for share in (0.5, 0.95, 1.0)]
    if len(values) < 3:
        numbers = numbers[:1]
    text = [f"{number:.{row.digits}f}" for number in numbers]
    shown = text[0] if len(set(text)) == 1 else " / ".join(text)
    return f"{shown} {row.unit}".rstrip()


def render(columns: Mapping[str, Samples], rows: Sequence[Row] = ROWS) -> str:
    """The table; the ratio compares the first column with the last, by their p50."""
    names = list(columns)
    lines = [
        "| | " + " | ".join(names) + " | ratio |",
        "|---" * (len(names) + 2) + "|",
    ]
    for row in rows:
        samples = [columns[name].get(row.samples, []) for name in names]
        if any(samples):
            cells = [cell(values, row) for values in samples]
            lines.append(f"| {row.title} | " + " | ".join(cells) + f" | {_ratio(samples, row)} |")
    return "\n".join([*lines, ""])


def footnote(facts: Sequence[str]) -> str:
    """The line below: how to read the cells, and what a reader must know to weigh them."""
    return "p50 / p95 / max where they differ. " + " · ".join(facts) + "\n"


def _ratio(samples: Sequence[Sequence[float]], row: Row) -> str:
    ours, theirs = percentile(samples[0], 0.5), percentile(samples[-1], 0.5)
    if len(samples) < 2 or not row.ratio or math.isnan(ours) or math.isnan(theirs) or ours <= 0:
        return ""
    return f"{theirs / ours:.1f} ×"


def write(name: str, text: str, root: Path) -> list[Path]:
    """Put `text` between the markers `<!-- NAME: begin -->` and `<!-- NAME: end -->` of each page; the pages written.

    Raises ValueError when a page has lost its markers.
    """
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    pages = [root / page for page in PAGES]
    for page in pages:
        before, found, rest = page.read_text().partition(begin)
        _, closed, after = rest.partition(end)
        if not found or not closed:
            raise ValueError(f"{page} has no {begin} with {end} after it")
        page.write_text(f"{before}{begin}\n{text}{end}{after}")
    return pages
