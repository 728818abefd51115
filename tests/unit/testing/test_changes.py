"""agenthost.testing.changes"""

import asyncio

import pytest

from agenthost.testing.changes import Changes


async def test_waiter_sees_a_change_and_gets_what_it_found() -> None:
    """`wait_for` returns the first thing that is not None, even a false one."""
    changes = Changes()
    found: list[int | None] = [None]
    waiting = asyncio.create_task(changes.wait_for(lambda: found[0], timeout=1, what=lambda: "nothing"))
    await asyncio.sleep(0)
    found[0] = 0
    changes.notify()
    assert await waiting == 0


async def test_what_is_there_already_is_not_waited_for() -> None:
    """No change is needed when the condition holds from the start."""
    assert await Changes().wait_for(lambda: "there", timeout=0.01, what=lambda: "nothing") == "there"


async def test_timeout_tells_what_was_asked_at_that_moment() -> None:
    """The text of the TimeoutError is made when time is up, not when the wait began."""
    said = ["early"]
    changes = Changes()
    waiting = asyncio.create_task(changes.wait_for(lambda: None, timeout=0.01, what=lambda: said[0]))
    await asyncio.sleep(0)
    said[0] = "late"
    with pytest.raises(TimeoutError, match=r"late \(waited 0.01 s\)"):
        await waiting


async def test_every_waiter_looks_again() -> None:
    """One notification wakes all."""
    changes = Changes()
    found: list[str] = []
    waits = [
        asyncio.create_task(changes.wait_for(lambda: found or None, timeout=1, what=lambda: "nothing"))
        for _ in range(3)
    ]
    await asyncio.sleep(0)
    found.append("x")
    changes.notify()
    assert await asyncio.gather(*waits) == [["x"]] * 3
