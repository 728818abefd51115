"""The status of a host as people read it: a head of three lines, then a table of the agents. Pure (rich)."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import zip_longest

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from agenthost.jobs import JobType
from agenthost.status import (
    AgentStatus,
    GenerationStatus,
    HostState,
    HostStatus,
    LoadPart,
    RegistrationStatus,
    ReloadStatus,
)
from agenthost.texts import printable, printable_line

_WIDE = 100  # columns from which there is room for worker ids
_COUNTED = frozenset({"max_jobs"})  # limits in jobs; the others are ratios
_STATE_STYLES = {HostState.RUNNING: "bold green", HostState.STARTING: "yellow", HostState.DRAINING: "bold yellow"}


def render_status(status: HostStatus, *, now: float, width: int) -> RenderableType:
    """`now` is in seconds since the epoch; with fewer than 100 columns, worker ids are left out."""
    return Group(*_head(status, now), Text(), _agents(status, now, wide=width >= _WIDE))


def _head(status: HostStatus, now: float) -> Iterator[Text]:
    state = Text(status.state.value, _STATE_STYLES.get(status.state, "bold red"))
    facts = [Text(f"agenthost {status.version}", "bold"), state, Text(f"pid {status.pid}")]
    yield Text(" · ").join([*facts, Text(f"up {_duration(now - status.started_at)}")])
    if status.file:
        yield Text(printable_line(status.file), "dim", overflow="fold")
    yield Text(f"{_count(status.jobs, 'job')} · {_load(status)}")
    if status.reason and status.state is HostState.RUNNING:
        yield Text(status.reason, "yellow")
    if status.last_reload is not None:
        yield _reload(status.last_reload, now)


def _load(status: HostStatus) -> Text:
    if not status.load_parts:
        return Text("no load limits")
    text = Text(" · ").join(Text(_part(part), "yellow" if part.fraction >= 1 else "") for part in status.load_parts)
    return Text.assemble(text, ("  full", "bold yellow") if status.full else "")


def _part(part: LoadPart) -> str:
    if part.name in _COUNTED:
        return f"{part.used:.0f} of {part.limit:.0f} slots"
    return f"{part.name} {part.used:.0%} of {part.limit:.0%}"


def _reload(reload: ReloadStatus, now: float) -> Text:
    mark, style = ("✓", "green") if reload.ok else ("✗", "red")
    return Text.assemble(
        (mark, style), f" reload {_duration(now - reload.at)} ago: {printable(reload.message)}", overflow="fold"
    )


def _agents(status: HostStatus, now: float, *, wide: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    table.add_column("agent", overflow="fold")
    table.add_column("registration", overflow="fold")
    if wide:
        table.add_column("worker", no_wrap=True)
    for name in ("jobs", "idle", "load"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("generation", no_wrap=True)
    for agent in status.agents:
        for row in _rows(agent, now, wide=wide):
            table.add_row(*row)
    return table


def _rows(agent: AgentStatus, now: float, *, wide: bool) -> Iterator[list[Text]]:
    """The agent as it is for new jobs; below it the generations and registrations that only old jobs keep."""
    worker = [Text(printable_line(agent.worker_id))] if wide else []
    jobs = f"{agent.jobs}" if agent.slots_total is None or agent.removed else f"{agent.jobs} of {agent.slots_total}"
    load = Text(f"{agent.load:.0%}" if agent.load_parts else "–", "yellow" if agent.full else "")
    current = next((one for one in agent.generations if one.current), None)
    generation = Text("" if agent.removed else _generation(current, now) if current else str(agent.generation))
    yield [_name(agent), _registration(agent), *worker, Text(jobs), Text(str(agent.idle)), load, generation]
    old_generations = [one for one in agent.generations if not one.current]
    old_registrations = [one for one in agent.registrations if one.state == "draining"]
    for registration, old in zip_longest(old_registrations, old_generations):
        yield _old_row(registration, old, now, wide=wide)


def _old_row(
    registration: RegistrationStatus | None, old: GenerationStatus | None, now: float, *, wide: bool
) -> list[Text]:
    said = f"draining {printable_line(registration.agent_name) or 'automatic'}" if registration else ""
    worker = [printable_line(registration.worker_id) if registration else ""] if wide else []
    jobs = str(old.jobs) if old else str(registration.jobs) if registration else ""
    cells = ["", said, *worker, f"↳ {jobs}", "", "", _generation(old, now) if old else ""]
    return [Text(cell, "dim") for cell in cells]


def _name(agent: AgentStatus) -> Text:
    kind = "" if agent.type is JobType.ROOM else f" ({agent.type.value})"
    return Text.assemble((printable_line(agent.id), "bold"), (kind, "dim"))


def _registration(agent: AgentStatus) -> Text:
    if agent.removed:
        return Text("removed, takes no more", "yellow")
    if not agent.registers:
        return Text("by rules only", "dim")
    called = (
        "automatic"
        if not agent.agent_name
        else ""
        if agent.agent_name == agent.id
        else printable_line(agent.agent_name)
    )
    state = ("full", "yellow") if agent.full else ("registered", "green")
    return Text.assemble(state if agent.registered else ("not registered", "red"), f" · {called}" if called else "")


def _generation(one: GenerationStatus, now: float) -> str:
    return f"{one.number}, {_duration(now - one.since)}"


def _duration(seconds: float) -> str:
    """The two largest units: 4s, 12m, 3h 20m, 2d 4h."""
    whole = timedelta(seconds=max(0, int(seconds)))
    hours, minutes = whole.seconds // 3600, whole.seconds // 60 % 60
    if whole.days:
        return f"{whole.days}d {hours}h"
    if hours:
        return f"{hours}h {minutes}m"
    return f"{minutes}m" if minutes else f"{whole.seconds}s"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
