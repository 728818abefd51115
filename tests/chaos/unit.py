"""A host, of whichever program, that is killed, frozen and started again while calls go on."""

import asyncio
import os
import signal
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from agenthost.testing.host_process import kill_all, processes_with

MARK = "CHAOS_UNIT"


class Unit:
    """`argv` in `folder`; its output goes to a file. Linux."""

    def __init__(self, argv: Sequence[str], folder: Path, environment: Mapping[str, str], log: Path) -> None:
        self._argv = argv
        self._folder = folder
        self._mark = uuid.uuid4().hex
        self._environment = {**os.environ, **environment, MARK: self._mark}
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._argv, cwd=self._folder, env=self._environment, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """SIGKILL to the host alone; what is below it is its own business."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    async def freeze(self, seconds: float) -> None:
        """SIGSTOP for a while: what it is offered meanwhile it cannot answer."""
        process = self._process
        if process is None or not self.running:
            return
        process.send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            process.send_signal(signal.SIGCONT)

    def below(self) -> list[psutil.Process]:
        """Its processes, the oldest first; without itself."""
        if self._process is None or not self.running:
            return []
        try:
            return sorted(psutil.Process(self._process.pid).children(recursive=True), key=lambda child: child.pid)
        except psutil.NoSuchProcess:
            return []

    def end(self) -> None:
        """Kill it and whatever it started, however long ago."""
        self.kill()
        while left := processes_with(MARK, self._mark):
            kill_all(left)
