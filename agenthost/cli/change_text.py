"""What a reload does, or would do, as people read it; shared by `plan` and `reload`. Pure."""

from collections.abc import Iterator

from agenthost.config.findings_text import Line, Segment, render
from agenthost.differences import Part
from agenthost.status import ChangeLine, PlanReport

_STYLES = {"added": "ok", "removed": "error", "base": "warning", "new generation": "warning"}
_EFFECTS = {
    "live": "the next request sees it",
    "new registration": "a new one opens before the old one takes no more",
    "new generation": "new jobs run it",
    "added": "registers when its code is proven",
    "removed": "takes no more",
    "base": "imported anew for all agents",
}
_HOST = "(host)"
_INDENT = "    "
_PART_STYLES = {Part.WHAT: "", Part.OLD: "error", Part.NEW: "ok", Part.OTHER: "dim"}


def render_changes(report: PlanReport) -> tuple[Line, ...]:
    """A block for each change, strongest kind first within an agent; then how many agents are kept."""
    lines: list[Line] = []
    changes = [line for line in report.changes if line.changes]
    width = max((len(line.agent or _HOST) for line in changes), default=0)
    for line in changes:
        lines += _change(line, width)
    kept = sum(not line.changes for line in report.changes)
    if kept and changes:
        lines.append((Segment(text=f"{_count(kept, 'other agent')} kept", style="dim"),))
    return tuple(lines)


def render_failure(report: PlanReport) -> tuple[Line, ...]:
    """Why it failed: every finding with its place, else the user's own traceback and one sentence."""
    if report.findings:
        return render(report.findings, report.source, file=report.file)
    traceback = report.traceback_text.rstrip("\n").splitlines()
    return (*((Segment(text=text),) for text in traceback), (Segment(text=report.error, style="error"),))


def count_changes(report: PlanReport) -> str:
    """`no changes`, or `3 changes, 2 jobs keep what they have`."""
    changes = [line for line in report.changes if line.changes]
    if not changes:
        return "no changes"
    jobs = sum({line.agent: line.jobs for line in changes if line.agent}.values())
    keep = f", {_count(jobs, 'job')} {'keeps' if jobs == 1 else 'keep'} running" if jobs else ""
    return f"{_count(len(changes), 'change')}{keep}"


def _change(line: ChangeLine, width: int) -> Iterator[Line]:
    effect = _EFFECTS.get(line.kind, "")
    jobs = f"; {_count(line.jobs, 'running job')} not touched" if line.jobs else ""
    yield (
        Segment(text=f"{line.agent or _HOST:<{width}}  ", style="strong"),
        Segment(text=line.kind, style=_STYLES.get(line.kind, "related")),
        Segment(text=f"  {effect}{jobs}" if effect else jobs, style="dim"),
    )
    for one in line.told:
        yield (Segment(text=_INDENT), *(Segment(text=text, style=_PART_STYLES[part]) for text, part in one.parts))


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
