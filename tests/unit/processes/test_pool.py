"""Which process a pool gives out, and when it makes another; the processes are played by the test."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest

from agenthost.ipc.messages import Ready
from agenthost.processes import pool as pools
from agenthost.processes.child_process import ChildProcess
from agenthost.processes.ends import ProcessEnds
from agenthost.processes.home import ProcessHome
from agenthost.processes.job_process import JobProcess
from agenthost.processes.pool import Pool
from tests.support.polling import poll


class PlayedStarter:
    """`made` are the processes it started, oldest first; `finish` makes one ready, `kill` ends one."""

    def __init__(self) -> None:
        self.made: list[JobProcess] = []
        self._theirs: dict[JobProcess, tuple[int, ...]] = {}

    async def start(self, process: ChildProcess, kind: str) -> None:
        assert isinstance(process, JobProcess) and kind == "job"
        ends = ProcessEnds.open()
        process.open(ends)
        self._theirs[process] = ends.theirs
        process.started.set_result(0)  # without a pid: nobody is to be killed
        self.made.append(process)

    async def makes(self, count: int) -> None:
        await poll(lambda: len(self.made) >= count, timeout=5, what=f"no {count}. process")

    async def finish(self, process: JobProcess) -> None:
        process.received(Ready())
        await asyncio.sleep(0)

    def end(self, process: JobProcess) -> None:
        for descriptor in self._theirs.pop(process, ()):
            os.close(descriptor)

    def end_all(self) -> None:
        for process in list(self._theirs):
            self.end(process)


@pytest.fixture
async def starter() -> AsyncIterator[PlayedStarter]:
    starter = PlayedStarter()
    yield starter
    starter.end_all()
    await asyncio.gather(*(process.ended for process in starter.made))


@pytest.fixture
async def pool(starter: PlayedStarter, home: ProcessHome) -> AsyncIterator[Pool]:
    """With two idle processes, the first of `starter.made` being the older one."""
    pool = Pool("agent", starter=starter, home=home, num_idle=2, init_seconds=10)
    running = asyncio.create_task(pool.run())
    for count in (1, 2):
        await starter.makes(count)
        await starter.finish(starter.made[count - 1])
    yield pool
    starter.end_all()
    await pool.close()
    await running


async def test_the_oldest_idle_process_is_given_out_first(pool: Pool, starter: PlayedStarter) -> None:
    """It had the most time to get ready for its job."""
    assert [await pool.reserve(), await pool.reserve()] == starter.made[:2]


async def test_one_given_back_is_idle_again_behind_the_others(pool: Pool, starter: PlayedStarter) -> None:
    """And is not replaced."""
    first, second = starter.made
    pool.give_back(await pool.reserve())
    assert [await pool.reserve(), await pool.reserve()] == [second, first]


async def test_dead_one_is_not_given_out(pool: Pool, starter: PlayedStarter) -> None:
    """From the moment on in which its death is known."""
    starter.end(starter.made[0])
    await starter.made[0].ended
    assert await pool.reserve() is starter.made[1]


async def test_another_is_made_when_the_job_has_started(
    pool: Pool, starter: PlayedStarter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not before: making one takes a processor that the job could use."""
    monkeypatch.setattr(pools, "REFILL_SECONDS", 60.0)
    process = await pool.reserve()
    for _ in range(10):
        await asyncio.sleep(0)
    assert len(starter.made) == 2
    process.running.set_result(None)
    await starter.makes(3)


async def test_another_is_made_although_no_job_starts(
    pool: Pool, starter: PlayedStarter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server may need long for an assignment, or never make it."""
    monkeypatch.setattr(pools, "REFILL_SECONDS", 0.01)
    await pool.reserve()
    await starter.makes(3)


async def test_closing_waits_for_no_job(
    starter: PlayedStarter, home: ProcessHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reserved process is its owner's business; nothing is made any more, and the pool's task ends."""
    monkeypatch.setattr(pools, "REFILL_SECONDS", 60.0)
    pool = Pool("agent", starter=starter, home=home, num_idle=1, init_seconds=10)
    running = asyncio.create_task(pool.run())
    await starter.makes(1)
    await starter.finish(starter.made[0])
    process = await pool.reserve()
    for _ in range(10):  # until the pool's task waits for the job
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await pool.close()
        await running
    assert not process.is_ending
    assert len(starter.made) == 1
