"""Who asks a hook process that is only being started; the process is played by the test."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from agenthost.errors import ProcessFailed
from agenthost.ipc.messages import Ready
from agenthost.processes.home import ProcessHome
from agenthost.processes.hook_process import Hook
from tests.support.played_process import PlayedStarter


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
    assert await hook.start() == ()
    starter.end()  # it leaves by itself, since it has no pid to kill
    await hook.close()
