"""Spreads persons over processes of `tests.chaos.callers`, and collects what becomes of their calls."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.chaos.calls import Call

ROOT = Path(__file__).parents[2]
CALLS_A_PROCESS = 100
LINE_BYTES = 2**20


class CallerProcesses:
    """`async with CallerProcesses(environment, patience=120) as callers:` place calls; `wait` for them all.

    `environment` tells where the server is, `patience` after how many seconds of silence a person gives up.
    """

    def __init__(self, environment: Mapping[str, str], *, patience: float) -> None:
        self._environment = {**os.environ, **environment}
        self._patience = patience
        self._placed = 0
        self._calls: list[Call] = []
        self._processes: list[asyncio.subprocess.Process] = []
        self._readers: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> "CallerProcesses":
        await self._open()
        return self

    async def __aexit__(self, *_: object) -> None:
        for process in self._processes:
            if process.returncode is None:
                process.kill()
            await process.wait()

    async def place(self, room: str) -> None:
        """Have a person call in this room.."""
        if self._placed and self._placed % CALLS_A_PROCESS == 0:
            self._hang_up()
            await self._open()
        self._placed += 1
        stdin = self._processes[-1].stdin
        assert stdin is not None
        stdin.write(f"{room}\n".encode())
        await stdin.drain()

    async def wait(self) -> list[Call]:
        """All calls, once the last person has left."""
        self._hang_up()
        await asyncio.gather(*self._readers)
        if len(self._calls) != self._placed:
            raise RuntimeError(f"{self._placed} calls were placed and {len(self._calls)} came back")
        return self._calls

    def _hang_up(self) -> None:
        stdin = self._processes[-1].stdin
        assert stdin is not None
        stdin.close()

    async def _open(self) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tests.chaos.callers",
            str(self._patience),
            cwd=ROOT,
            env=self._environment,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_BYTES,
        )
        self._processes.append(process)
        self._readers.append(asyncio.create_task(self._read(process)))

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            self._calls.append(Call.from_line(line.decode()))
