"""What is done to the hosts of a crowd while it calls. The same for whichever program runs: only job processes, and
whole hosts."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Sequence

import psutil

from tests.chaos.unit import Unit

JOB_PROCESS_SECONDS = 3.0
FREEZE_SECONDS = 30.0
FROZEN_SECONDS = 4.0
HOST_SECONDS = 45.0
AWAY_SECONDS = 3.0


class CrowdHarm:
    """`run` until it is cancelled; then every host runs again. `done` counts by kind, `notes` have it by time."""

    def __init__(self, units: Sequence[Unit], chance: random.Random) -> None:
        self.done: Counter[str] = Counter()
        self.notes: list[tuple[float, str]] = []
        self._units = units
        self._random = chance

    async def run(self) -> None:
        """Kill job processes and hosts, and freeze hosts, at random times."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._kill_job_processes())
                tasks.create_task(self._freeze_hosts())
                tasks.create_task(self._kill_hosts())
        finally:
            for unit in self._units:
                if not unit.running:
                    unit.start()

    async def _kill_job_processes(self) -> None:
        while True:
            await self._pause(JOB_PROCESS_SECONDS)
            unit = self._random.choice(self._units)
            if not (processes := unit.job_processes()):
                continue
            victim = self._random.choice(processes)
            with contextlib.suppress(psutil.NoSuchProcess):
                victim.kill()
                self._note("a job process killed", f"process {victim.pid} of {unit.name} killed")

    async def _freeze_hosts(self) -> None:
        while True:
            await self._pause(FREEZE_SECONDS)
            unit = self._random.choice(self._units)
            self._note("a host frozen for 4 s", f"{unit.name} frozen")
            await unit.freeze(FROZEN_SECONDS)

    async def _kill_hosts(self) -> None:
        while True:
            await self._pause(HOST_SECONDS)
            unit = self._random.choice(self._units)
            unit.kill()
            self._note("a host killed", f"{unit.name} killed")
            await asyncio.sleep(AWAY_SECONDS)
            unit.start()

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(seconds * self._random.uniform(0.5, 1.5))

    def _note(self, kind: str, what: str) -> None:
        self.done[kind] += 1
        self.notes.append((time.time(), what))
