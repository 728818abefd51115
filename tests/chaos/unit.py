"""A host, of whichever program, that is killed, frozen and started again while calls go on.

Its job processes say themselves that they are: each leaves a file named by its pid in the folder CHAOS_PROCESSES. What
else a program runs (templates, a fork server, a resource tracker) is not comparable from one program to the other.
"""

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
    """`argv` in `folder`; its output goes to `<place>/<name>.log`. Linux."""

    def __init__(
        self, argv: Sequence[str], folder: Path, environment: Mapping[str, str], *, place: Path, name: str
    ) -> None:
        self.name = name
        self.log = place / f"{name}.log"
        self._argv = argv
        self._folder = folder
        self._mark = uuid.uuid4().hex
        self._processes = place / f"{name}-processes"
        self._processes.mkdir()
        self._environment = {**os.environ, **environment, MARK: self._mark, "CHAOS_PROCESSES": str(self._processes)}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
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

    def job_processes(self) -> list[psutil.Process]:
        """Those that run a job or wait for one, the oldest first."""
        if self._process is None or not self.running:
            return []
        known = {int(file.name) for file in self._processes.iterdir()}
        try:
            below = psutil.Process(self._process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []
        return sorted((one for one in below if one.pid in known), key=lambda one: one.pid)

    def end(self) -> None:
        """Kill it and whatever it started, however long ago."""
        self.kill()
        while left := processes_with(MARK, self._mark):
            kill_all(left)
