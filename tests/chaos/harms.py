"""What a campaign does to its host: each harm is a coroutine function that is over when its return is."""

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

import psutil

from agenthost.testing.host_process import HostProcess
from tests.support.exhaustion import family, no_descriptors, no_growing_files
from tests.support.fork_refusal import ForkRefusal
from tests.support.link import Link
from tests.support.log_tap import LogTap
from tests.support.shifted_clock import ShiftedClock

Harm = Callable[[], Awaitable[None]]
STOPPED_SECONDS = 1.5


class Victim(Protocol):
    """`host` is the one that runs now."""

    host: HostProcess


class Harms:
    """`all()` has them by name. `chance` decides about victims and times."""

    def __init__(
        self,
        victim: Victim,
        link: Link,
        *,
        tap: LogTap,
        refusal: ForkRefusal,
        clock: ShiftedClock,
        chance: random.Random,
    ) -> None:
        self._victim = victim
        self._link = link
        self._tap = tap
        self._refusal = refusal
        self._clock = clock
        self._random = chance

    def all(self) -> Mapping[str, Harm]:
        return {
            "SIGKILL of a process": self._kill_any,
            "SIGSTOP of a process": self._stop_any,
            "SIGSTOP of the host": self._stop_host,
            "sockets cut": self._cut,
            "sockets delayed": self._delay,
            "no descriptors": lambda: self._without(no_descriptors(self._victim.host.pid)),
            "no room on the disk": lambda: self._without(no_growing_files(family(self._victim.host.pid))),
            "forks refused (EAGAIN)": self._refuse_forks,
            "log pipe nobody reads": self._stop_reading,
            "clock jumps": self._shift_clock,
        }

    def below(self) -> list[psutil.Process]:
        """Everything below the host: base, templates, hook process, jobs, idle processes."""
        try:
            return sorted(psutil.Process(self._victim.host.pid).children(recursive=True), key=lambda child: child.pid)
        except psutil.NoSuchProcess:
            return []

    def resume_all(self) -> None:
        for process in self.below():
            _resume(process)

    async def _kill_any(self) -> None:
        for victim in self._choose():
            victim.kill()

    async def _stop_any(self) -> None:
        for victim in self._choose():
            victim.suspend()
            asyncio.get_running_loop().call_later(STOPPED_SECONDS * self._random.random() * 2, _resume, victim)

    def _choose(self) -> list[psutil.Process]:
        victims = [process for process in self.below() if process.is_running()]
        return [self._random.choice(victims)] if victims else []

    async def _stop_host(self) -> None:
        self._victim.host.signal(signal.SIGSTOP)
        await self._pause()
        self._victim.host.signal(signal.SIGCONT)

    async def _cut(self) -> None:
        self._link.cut()

    async def _delay(self) -> None:
        self._link.delay = self._random.uniform(0.05, 0.4)
        await self._pause()
        self._link.delay = 0.0

    async def _refuse_forks(self) -> None:
        self._refusal.refuses = lambda pid: True
        await self._pause()
        self._refusal.refuses = lambda pid: False

    async def _stop_reading(self) -> None:
        self._tap.stop()
        await self._pause()
        self._tap.resume()

    async def _shift_clock(self) -> None:
        self._clock.shift(self._random.choice([-3600.0, -40.0, 40.0, 3600.0]))
        await self._pause()
        self._clock.shift(0.0)

    async def _without(self, nothing: AbstractContextManager[None]) -> None:
        with nothing:
            await self._pause()

    async def _pause(self) -> None:
        await asyncio.sleep(STOPPED_SECONDS * self._random.random())


def _resume(process: psutil.Process) -> None:
    try:
        process.resume()
    except psutil.NoSuchProcess:
        pass  # killed meanwhile
