"""Who asks a hook process that is only being started; the process is played by the test."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest

from agenthost.errors import ProcessFailed
from agenthost.ipc.messages import Ready
from agenthost.processes.child_process import ChildProcess
from agenthost.processes.home import ProcessHome
from agenthost.processes.hook_process import MOST_PAUSE_SECONDS, Hook
from tests.support.jumping_loop import run_jumping
from tests.support.played_process import PlayedStarter, played_home


@pytest.fixture
async def starter() -> AsyncIterator[PlayedStarter]:
    starter = PlayedStarter()
    yield starter
    starter.end()
    await (await starter.made).ended


@pytest.fixture
def hook(starter: PlayedStarter, home: ProcessHome) -> Hook:
    return Hook("agent", starter=starter, home=home, init_seconds=10)


async def test_who_waits_for_the_start_is_not_cancelled_by_the_close(hook: Hook, starter: PlayedStarter) -> None:
    """A reload retires the hook while it starts: the offer is answered, and the loop that asks for the load goes on."""
    asking = [asyncio.create_task(hook.start()) for _ in range(2)]
    await starter.made
    await hook.close()
    errors = await asyncio.gather(*asking, return_exceptions=True)
    assert [type(error) for error in errors] == [ProcessFailed, ProcessFailed]


async def test_load_is_not_waited_for_longer_than_its_time(hook: Hook, starter: PlayedStarter) -> None:
    """The start of the process included, and it goes on: the next question finds it."""
    with pytest.raises(TimeoutError):
        await hook.ask_load(0, seconds=0.05)
    (await starter.made).received(Ready())
    assert await hook.start() is await starter.made
    starter.end()  # it leaves by itself, since it has no pid to kill
    await hook.close()


class DyingStarter:
    """Each process that it starts is ready at once, and dies of the first question. `times`: when it was asked."""

    def __init__(self) -> None:
        self.times: list[float] = []

    async def start(self, process: ChildProcess, kind: str) -> None:
        self.times.append(asyncio.get_running_loop().time())
        played = PlayedStarter()
        await played.start(process, kind)
        process.received(Ready())
        process.ended.add_done_callback(lambda _: played.end())
        process.send = lambda message: process.close_channel()  # type: ignore[method-assign]


def test_process_that_dies_of_each_question_is_started_with_growing_pauses() -> None:
    """However often it is asked meanwhile: a load function is, once a second."""

    async def scenario() -> None:
        starter = DyingStarter()
        hook = Hook("agent", starter=starter, home=played_home(), init_seconds=10)
        for _ in range(120):
            with pytest.raises((ProcessFailed, TimeoutError)):
                await hook.ask_load(0, seconds=0.2)
            await asyncio.sleep(1.0)
        await hook.close()
        gaps = [after - before for before, after in itertools.pairwise(starter.times)]
        assert len(gaps) < 12
        assert max(gaps) >= MOST_PAUSE_SECONDS

    run_jumping(scenario())


@pytest.mark.parametrize("turns", range(8))
def test_process_that_gets_ready_while_its_hook_is_closed_ends(turns: int) -> None:
    """At whichever turn of the loop the close finds its start."""

    async def scenario() -> None:
        starter = PlayedStarter()
        hook = Hook("agent", starter=starter, home=played_home(), init_seconds=10)
        asking = asyncio.create_task(hook.start())
        process = await starter.made
        process.received(Ready())
        for _ in range(turns):
            await asyncio.sleep(0)
        await hook.close()
        await process.ended
        await asyncio.wait({asking})
        starter.end()

    run_jumping(scenario())


def test_closed_hook_starts_nothing() -> None:
    """Who asks it has not heard yet that it is retired; nobody would end what was started for them."""

    async def scenario() -> None:
        starter = PlayedStarter()
        hook = Hook("agent", starter=starter, home=played_home(), init_seconds=10)
        await hook.close()
        with pytest.raises(ProcessFailed, match="not needed any more"):
            await hook.start()
        assert not starter.made.done()

    run_jumping(scenario())
