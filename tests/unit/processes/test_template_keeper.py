"""A template that is always there; templates here have no process but a socket that the test holds."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from agenthost.errors import ProcessFailed
from agenthost.logs.events import get_logger
from agenthost.processes import template_keeper
from agenthost.processes.template_keeper import TemplateKeeper
from agenthost.processes.templates import MustNotFork, Template
from tests.support.polling import poll
from tests.unit.processes.conftest import MakePeer, TemplatePeer


class Maker:
    """Makes templates, or fails with `error`; `gate` holds it up."""

    def __init__(self, peer: MakePeer) -> None:
        self._peer = peer
        self.made: list[TemplatePeer] = []
        self.tried = 0
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> Template:
        self.tried += 1
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.made.append(self._peer())
        return self.made[-1].host


@pytest.fixture
def maker(peer: MakePeer) -> Maker:
    return Maker(peer)


@pytest.fixture
async def keeper(maker: Maker, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[TemplateKeeper]:
    monkeypatch.setattr(template_keeper, "start_delay", lambda failures: 0.001 * failures)
    keeper = TemplateKeeper("agent", make=maker, log=get_logger("test"))
    yield keeper
    for peer in maker.made:
        peer.die()
    await keeper.close()


async def test_all_who_wait_get_the_same_template(keeper: TemplateKeeper, maker: Maker) -> None:
    """It is made once, when it is first wanted."""
    assert maker.tried == 0
    first, second = await asyncio.gather(keeper.living(), keeper.living())
    assert first is second is await keeper.living()
    assert maker.tried == 1


async def test_waiter_that_gives_up_costs_the_others_nothing(keeper: TemplateKeeper, maker: Maker) -> None:
    """An offer's deadline does not stop the import that others wait for."""
    maker.gate.clear()
    patient, hasty = asyncio.create_task(keeper.living()), asyncio.create_task(keeper.living())
    await asyncio.sleep(0)
    hasty.cancel()
    await asyncio.wait([hasty])
    maker.gate.set()
    assert await patient is maker.made[0].host


async def test_dead_template_is_replaced_before_anybody_asks(keeper: TemplateKeeper, maker: Maker) -> None:
    """After the delay for one that died young."""
    await keeper.living()
    maker.made[0].die()
    await poll(lambda: maker.tried == 2, timeout=5, what="it is not replaced")
    assert await keeper.living() is maker.made[1].host


async def test_who_asks_in_the_moment_of_the_death_gets_the_next_one(
    keeper: TemplateKeeper, maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And does not wait for the delay."""
    monkeypatch.setattr(template_keeper, "start_delay", lambda failures: 60.0)
    dead = await keeper.living()
    dead.close("died")
    async with asyncio.timeout(5):
        assert await keeper.living() is maker.made[1].host


async def test_failure_reaches_who_waits_and_the_next_try_comes_later(keeper: TemplateKeeper, maker: Maker) -> None:
    """Each failure makes the delay longer; the first success ends it."""
    maker.error = ProcessFailed("broken")
    with pytest.raises(ProcessFailed, match="broken"):
        await keeper.living()
    await poll(lambda: maker.tried >= 3, timeout=5, what="it is not tried again")
    maker.error = None
    await keeper.living()
    assert len(maker.made) == 1


async def test_who_asks_during_the_delay_ends_it(
    keeper: TemplateKeeper, maker: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A job never waits for a delay; and one question is one try."""
    monkeypatch.setattr(template_keeper, "start_delay", lambda failures: 60.0)
    maker.error = ProcessFailed("broken")
    for tries in (1, 2, 3):
        with pytest.raises(ProcessFailed):
            await keeper.living()
        assert maker.tried == tries


async def test_code_that_must_not_fork_is_not_tried_again(keeper: TemplateKeeper, maker: Maker) -> None:
    """It would start its threads again; everybody hears the same."""
    maker.error = MustNotFork(("thread 'x', started at a.py:1",))
    for _ in range(2):
        with pytest.raises(MustNotFork, match=r"thread 'x', started at a\.py:1"):
            await keeper.living()
    assert maker.tried == 1


async def test_closed_keeper_makes_no_more(keeper: TemplateKeeper, maker: Maker) -> None:
    """Who still asks is told, and does not wait for ever."""
    template = await keeper.living()
    closing = asyncio.create_task(keeper.close())
    await template.dead
    maker.made[0].die()
    await closing
    with pytest.raises(ProcessFailed, match="the host ends its templates"):
        await keeper.living()
    assert maker.tried == 1


async def test_resting_template_ends_and_the_next_is_made_when_it_is_wanted(
    keeper: TemplateKeeper, maker: Maker
) -> None:
    """A rest is no failure: nothing is made meanwhile, and whoever wants it again gets it without a delay."""
    first = await keeper.living()
    keeper.rest()
    await first.dead
    for _ in range(20):
        await asyncio.sleep(0)  # turns enough for a keeper that would make another at once
    assert maker.tried == 1
    second = await keeper.living()
    assert (second is first, maker.tried) == (False, 2)


async def test_template_that_is_made_after_a_rest_is_replaced_when_it_dies(
    keeper: TemplateKeeper, maker: Maker
) -> None:
    """A rest is over with the first template after it."""
    await keeper.living()
    keeper.rest()
    await keeper.living()
    maker.made[-1].die()
    await poll(lambda: maker.tried == 3, timeout=10, what="a third template, which nobody asked for")
