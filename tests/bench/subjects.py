"""Who is compared, and a started one: its notes, its processes, its memory, and its sure end.

Runs in the benchmark's own process. Everything is started by argv and ended by pid.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from agenthost.testing.host_process import kill_all, processes_with

AGENTS = Path(__file__).parent / "agents"
PEER_VERSION = "1.8.9"
END_SECONDS = 15.0
MIB = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Subject:
    """One column of the table. `argv` starts it; `env` is added to the environment.

    `crowds`: measure it with hundreds of jobs, for which the others would need more memory than machines have.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    crowds: bool = False


@dataclass(frozen=True, kw_only=True)
class Note:
    """One line that an agent wrote: prewarm, entry or joined; `at` is in seconds of time.monotonic()."""

    event: str
    pid: int
    at: float
    what: str


@dataclass(frozen=True, kw_only=True)
class Memory:
    """In MiB: proportional (shared pages divided among their users) and private."""

    pss: float
    uss: float


def subjects(peer_python: Path) -> tuple[Subject, ...]:
    """The columns, in the order of the table."""
    ours = (sys.executable, "-m", "agenthost", "start", str(AGENTS / "agenthost.yaml"))
    peer = (str(peer_python), "-m", "livekit.agents", "start", str(AGENTS / "peer.py"))
    return (
        Subject(name="agenthost", argv=ours, env=_form("auto", "own"), crowds=True),
        Subject(name="agenthost, imports: shared", argv=ours, env=_form("auto", "shared")),
        Subject(name="agenthost, spawn", argv=ours, env=_form("spawn", "own")),
        Subject(name=f"livekit-agents {PEER_VERSION}", argv=peer),
    )


def _form(start_method: str, imports: str) -> dict[str, str]:
    return {"BENCH_START_METHOD": start_method, "BENCH_IMPORTS": imports}


class Running:
    """`with Running(subject, folder, ...)`: the subject at work; afterwards none of its processes lives."""

    def __init__(
        self, subject: Subject, folder: Path, server: Mapping[str, str], *, idle: int, hold: float, join: bool
    ) -> None:
        self.subject = subject
        self.started_at = 0.0
        self.log = folder / "log.txt"
        self._notes = folder / "notes.txt"
        self._env = dict(os.environ) | dict(subject.env) | dict(server)
        self._env |= {
            "BENCH_NOTES": str(self._notes),
            "BENCH_IDLE": str(idle),
            "BENCH_HOLD": str(hold),
            "BENCH_JOIN": "yes" if join else "no",
        }
        for hiding in ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"):
            self._env.pop(hiding, None)

    def __enter__(self) -> Self:
        self._notes.touch()
        self.started_at = time.monotonic()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self.subject.argv, cwd=AGENTS, env=self._env, stdout=log, stderr=log, start_new_session=True
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        deadline = time.monotonic() + END_SECONDS
        for seconds in (1.0, 1.0, END_SECONDS):
            if self._process.poll() is not None:
                break
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(min(seconds, max(0.1, deadline - time.monotonic())))
            except subprocess.TimeoutExpired:
                continue  # a second signal hurries it
        # By a variable that only they have: a fork server that was starting meanwhile is nobody's child any more.
        while left := processes_with("BENCH_NOTES", str(self._notes)):
            kill_all(left)
        self._process.wait()

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def notes(self, event: str) -> list[Note]:
        """What the agents wrote so far, oldest first."""
        found = []
        for line in self._notes.read_text().splitlines():
            what, pid, at, rest = line.split(" ", 3)
            if what == event:
                found.append(Note(event=what, pid=int(pid), at=float(at), what=rest))
        return found

    def processes(self) -> list[psutil.Process]:
        """The subject and all its descendants."""
        try:
            root = psutil.Process(self._process.pid)
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def memory(self) -> Memory:
        """Of the whole family together."""
        parts = [found for p in self.processes() if (found := memory_of(p.pid)) is not None]
        return Memory(pss=sum(p.pss for p in parts), uss=sum(p.uss for p in parts))

    def cpu_seconds(self) -> float:
        """What the whole family has used so far, ended children included."""
        total = 0.0
        for process in self.processes():
            try:
                total += sum(process.cpu_times()[:4])
            except psutil.Error:
                pass  # it ended between the listing and the question
        return total


def memory_of(pid: int) -> Memory | None:
    """One process; None when it has ended."""
    try:
        info = psutil.Process(pid).memory_full_info()
    except psutil.Error:
        return None
    return Memory(pss=info.pss / MIB, uss=info.uss / MIB)
