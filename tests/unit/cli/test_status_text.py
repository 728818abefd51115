"""The status as people read it."""

import io

import pytest
from msgspec.structs import replace
from rich.console import Console

from agenthost.cli.status_text import render_status
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

NOW = 1_000_000.0
SUPPORT = AgentStatus(
    id="support",
    agent_name="support",
    type=JobType.ROOM,
    registered=True,
    worker_id="AW_abcdefghijkl",
    generation=4,
    jobs=3,
    idle=2,
    slots_total=30,
    load=0.1,
    load_parts=(LoadPart(name="max_jobs", used=3, limit=30),),
    generations=(
        GenerationStatus(number=4, jobs=2, since=NOW - 200),
        GenerationStatus(number=3, jobs=1, since=NOW - 7500, current=False),
    ),
)
DOOR = AgentStatus(id="front-door", agent_name="", type=JobType.ROOM, registered=True, worker_id="AW_1", full=True)
NEXT = AgentStatus(id="next", agent_name="next", type=JobType.PUBLISHER, registers=False)
HOST = HostStatus(
    state=HostState.RUNNING,
    version="1.2.3",
    agents=(SUPPORT, DOOR, NEXT),
    started_at=NOW - 93784,
    load_parts=(LoadPart(name="cpu", used=0.25, limit=0.7), LoadPart(name="max_jobs", used=3, limit=60)),
    pid=42,
    file="/srv/app/agenthost.yaml",
)


def shown(status: HostStatus, width: int = 80) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=width, highlight=False).print(render_status(status, now=NOW, width=width))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_status_is_one_screen_of_80_columns() -> None:
    """Head, then a line for each agent, and below it what only its old jobs still run on."""
    assert shown(HOST) == [
        "agenthost 1.2.3 · running · pid 42 · up 1d 2h",
        "/srv/app/agenthost.yaml",
        "3 jobs · cpu 25% of 70% · 3 of 60 slots",
        "",
        "agent             registration         jobs  idle  load  generation",
        "support           registered        3 of 30     2   10%  4, 3m",
        "                                        ↳ 1              3, 2h 5m",
        "front-door        full · automatic        0     0     –  1",
        "next (publisher)  by rules only           0     0     –  1",
    ]


def test_wide_terminal_shows_worker_ids() -> None:
    """What the LiveKit server's log calls a registration."""
    assert any("AW_abcdefghijkl" in line for line in shown(HOST, 120))
    assert not any("AW_" in line for line in shown(HOST, 80))


def test_replaced_registration_is_shown_until_its_last_job_ends() -> None:
    """By the name that the server still knows it by."""
    old = RegistrationStatus(agent_name="before", type=JobType.ROOM, state="draining", worker_id="AW_0", jobs=2)
    lines = shown(HostStatus(state=HostState.RUNNING, version="1", agents=(agent(registrations=(old,)),)))
    assert lines[-1].split() == ["draining", "before", "↳", "2"]


def test_removed_agent_is_shown_until_its_last_job_ends() -> None:
    """Its jobs are jobs of this host, wherever they came from."""
    generations = (GenerationStatus(number=2, jobs=2, since=NOW - 60, current=False),)
    gone = agent(registers=False, removed=True, jobs=2, slots_total=2, slots_used=2, generations=generations)
    lines = shown(HostStatus(state=HostState.RUNNING, version="1", agents=(SUPPORT, gone)))
    assert lines[-2].split() == ["a", "removed,", "takes", "no", "more", "2", "0", "–"]
    assert lines[-1].split() == ["↳", "2", "2,", "1m"]


def agent(**values: object) -> AgentStatus:
    return AgentStatus(id="a", agent_name="b", type=JobType.ROOM, **values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("reload", "line"),
    [
        (ReloadStatus(ok=True, at=NOW - 4, message="2 changes applied"), "✓ reload 4s ago: 2 changes applied"),
        (ReloadStatus(ok=False, at=NOW - 60, message="a.yaml:3:1 no"), "✗ reload 1m ago: a.yaml:3:1 no"),
    ],
)
def test_last_reload_is_told_with_its_age(reload: ReloadStatus, line: str) -> None:
    """A failed one above all: the file on disk is not what runs."""
    assert line in shown(HostStatus(state=HostState.RUNNING, version="1", last_reload=reload))


def test_host_that_is_not_ready_says_why() -> None:
    """The first thing to see when no job comes."""
    lines = shown(HostStatus(state=HostState.RUNNING, version="1", agents=(agent(),)))
    assert "not registered with the LiveKit server" in lines
    assert "not registered · b" in lines[-1]
    assert shown(HostStatus(state=HostState.DRAINING, version="1"))[0].startswith("agenthost 1 · draining")


def test_long_names_are_folded_not_cut() -> None:
    """A name that cannot be copied is of no use."""
    name = "an-agent-with-a-name-that-nobody-would-want-to-type-but-somebody-has-chosen"
    lines = shown(
        HostStatus(state=HostState.RUNNING, version="1", agents=(agent(registered=True), SUPPORT, long(name)))
    )
    assert max(map(len, lines)) <= 80
    column = "".join(line[: lines[3].index("registration")].strip() for line in lines[4:])
    assert name in column


def long(name: str) -> AgentStatus:
    return AgentStatus(id=name, agent_name=name, type=JobType.ROOM)


def test_no_text_of_a_host_acts_on_the_terminal() -> None:
    """Names and errors come from files, variables and user code."""
    hostile = "x\x1b[2J\x07\u202e\ud83d"
    agent = replace(SUPPORT, id=f"id{hostile}", agent_name=f"name{hostile}", worker_id=hostile)
    reload = ReloadStatus(ok=False, at=NOW, message=hostile)
    text = "\n".join(shown(replace(HOST, agents=(agent,), file=hostile, last_reload=reload), width=200))
    assert text.encode().decode() == text
    assert not set("\x1b\x07\u202e") & set(text)
