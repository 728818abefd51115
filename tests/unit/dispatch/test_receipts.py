"""What a pong proves: everything queued before its ping was read, and nothing else."""

import asyncio

from agenthost.dispatch.receipts import Receipts


async def test_pong_settles_its_ping_and_the_ones_before() -> None:
    """Also those of a connection that was lost: their numbers are smaller."""
    receipts = Receipts()
    first, second, third = (receipts.number() for _ in range(3))
    waiting = [asyncio.ensure_future(receipts.wait(number)) for number in (first, second, third)]
    await asyncio.sleep(0)
    receipts.answered(second)
    done, pending = await asyncio.wait(waiting[:2])
    assert (len(done), len(pending), waiting[2].done()) == (2, 0, False)
    receipts.release()
    await waiting[2]


async def test_pong_of_a_ping_that_keeps_time_proves_nothing() -> None:
    """The connection pings with the time in milliseconds to see whether the server lives."""
    receipts = Receipts()
    waiting = asyncio.ensure_future(receipts.wait(receipts.number()))
    await asyncio.sleep(0)
    receipts.answered(1_700_000_000_000)
    await asyncio.sleep(0)
    assert not waiting.done()
    receipts.release()
    await waiting


async def test_who_stops_waiting_keeps_nobody_else_from_it() -> None:
    """A reload waits for a bounded time; another may wait for the same number."""
    receipts = Receipts()
    number = receipts.number()
    one, other = (asyncio.ensure_future(receipts.wait(number)) for _ in range(2))
    await asyncio.sleep(0)
    one.cancel()
    await asyncio.wait([one])
    receipts.answered(number)
    await other
    assert one.cancelled()
