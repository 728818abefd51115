"""A control socket with a handler that answers what the test says."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agenthost.control.location import default_path
from agenthost.control.server import ControlSocket
from agenthost.internal_errors import InternalErrors
from agenthost.jobs import JobType
from agenthost.logs.events import get_logger
from agenthost.metrics import Metrics
from agenthost.status import AgentStatus, ChangeLine, Guest, HostState, HostStatus, PlanReport, ReloadReport

AGENT = AgentStatus(id="support", agent_name="support", type=JobType.ROOM, registered=True, jobs=2)
CHANGES = (
    ChangeLine(agent="support", kind="new generation", reasons=("app/support.py",), jobs=2),
    ChangeLine(agent="door", kind="kept"),
)


class Handler:
    """A small host: `stopped` are the values of `now` it was told; `reload` waits for `may_reload`."""

    def __init__(self) -> None:
        self.host = HostStatus(
            state=HostState.RUNNING, version="1.2.3", agents=(AGENT,), started_at=1.0, pid=os.getpid()
        )
        self.planned = PlanReport(ok=True, changes=CHANGES)
        self.reloaded = ReloadReport(ok=True, changes=CHANGES, seconds=0.25)
        self.may_reload = asyncio.Event()
        self.may_reload.set()
        self.stopped: list[bool] = []
        self.metrics = Metrics()
        self.errors = InternalErrors(self.metrics, get_logger("test"))

    def status(self) -> HostStatus:
        return self.host

    async def plan(self) -> PlanReport:
        return self.planned

    async def reload(self) -> ReloadReport:
        await self.may_reload.wait()
        return self.reloaded

    def invite(self, room: str) -> Guest:
        return Guest(url="ws://127.0.0.1:7880", token=f"token for {room}", identity="guest-1")

    def stop(self, *, now: bool) -> None:
        self.stopped.append(now)


class Running:
    """A file, and the socket of the host that runs it."""

    def __init__(self, file: Path, runtime: Path, *, text: str = "") -> None:
        self.file = file
        self.handler = Handler()
        self.path = default_path(file, {"XDG_RUNTIME_DIR": str(runtime)})
        self.socket = ControlSocket(self.path, self.handler, text=text)


@pytest.fixture
async def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    """Listening, at the default path of `agenthost.yaml` in the test's folder."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    file = tmp_path / "agenthost.yaml"
    file.write_text("entrypoint: my_agent:entrypoint\n")
    running = Running(file, tmp_path)
    assert await running.socket.start() == running.path
    yield running
    await running.socket.stop()
