"""Handlers that user code gives to `os.register_at_fork`: which process they run in, and when.

Of code that is shared, or preloaded: where each process imports it itself, it is there after the last fork.
"""

from pathlib import Path

import pytest

from tests.support.agent_host import Start

REGISTERS = """
import os
from functools import partial

told = []
for when in ("before", "after_in_parent", "after_in_child"):
    os.register_at_fork(**{when: partial(told.append, when)})
"""
IN_A_JOB = ["before", "after_in_child"]
IN_THE_TEMPLATE = ["before", "after_in_parent"]
"""What a template has kept of one fork."""


async def test_handlers_run_in_the_template_around_the_fork_and_in_the_new_process(start: Start) -> None:
    """Once for each process. What they leave in memory in the template is what later jobs are forked with."""
    code = REGISTERS + "async def entrypoint(ctx: JobContext) -> None:\n    tell(ctx, told=told)\n"
    agent = await start(code, "imports: shared")
    assert [(await agent.run())["told"] for _ in range(3)] == [
        [*IN_THE_TEMPLATE * jobs_before, *IN_A_JOB] for jobs_before in range(3)
    ]


async def test_those_of_preload_run_in_the_base_too(start: Start, tmp_path: Path) -> None:
    """The base forks the template, as the template forks the job."""
    (tmp_path / "early.py").write_text(REGISTERS)
    code = "import early\nasync def entrypoint(ctx: JobContext) -> None:\n    tell(ctx, told=early.told)\n"
    agent = await start(code, "imports: shared\npreload: [early]")
    assert (await agent.run())["told"] == [*IN_A_JOB, *IN_A_JOB]


async def test_none_runs_where_each_process_imports_the_code(start_any: Start) -> None:
    """It has been forked by then, or was spawned."""
    code = REGISTERS + "async def entrypoint(ctx: JobContext) -> None:\n    tell(ctx, told=told)\n"
    assert (await (await start_any(code)).run())["told"] == []


OPENS = """
import os

kept = []

def open_another():
    kept.append(os.open("/dev/zero", os.O_RDONLY))

os.register_at_fork(before=open_another)

async def entrypoint(ctx: JobContext) -> None:
    tell(ctx, read=[os.read(file, 1).hex() for file in kept])
"""


async def test_descriptors_that_a_handler_opens_are_those_of_the_template(start: Start) -> None:
    """And so of all jobs that are forked from it later."""
    agent = await start(OPENS, "imports: shared")
    assert [(await agent.run())["read"] for _ in range(2)] == [["00"], ["00", "00"]]


STARTS = """
import os, threading

os.register_at_fork(after_in_parent=lambda: threading.Thread(target=threading.Event().wait, daemon=True).start())

async def entrypoint(ctx: JobContext) -> None:
    tell(ctx, threads=threading.active_count())
"""


@pytest.mark.timeout(90)
async def test_handler_that_starts_a_thread_costs_a_template_and_no_job(start: Start) -> None:
    """The log says what to do about it; nothing hangs."""
    agent = await start(STARTS, "imports: shared")
    assert (await agent.run())["threads"] == 1
    await agent.host.wait_event("template died")
    assert any("has started a thread" in line.message for line in agent.host.lines)
    await agent.host.wait_event("template ready", count=2)
    assert (await agent.run())["threads"] == 1
