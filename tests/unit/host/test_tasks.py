"""What becomes of the errors of a host's tasks: on a clock that jumps, since a loop is begun anew after a pause."""

import asyncio
from collections.abc import Callable, Coroutine

from agenthost.host.tasks import BEGIN_ANEW_SECONDS, FAILURES_WITHIN_SECONDS, MOST_FAILURES, Tasks
from agenthost.internal_errors import InternalErrors
from agenthost.logs.events import get_logger
from agenthost.metrics import InternalPart, Metrics
from tests.support.jumping_loop import run_jumping


class Work:
    """Tasks, and what they said of themselves."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.failures: list[Exception] = []
        self.has_failed = asyncio.Event()
        self.begun: list[float] = []
        self.tasks = Tasks(InternalErrors(self.metrics, get_logger("test")), self._failed)

    def _failed(self, error: Exception) -> None:
        self.failures.append(error)
        self.has_failed.set()

    def errors(self, part: InternalPart = InternalPart.TASK) -> int:
        return self.metrics.internal_errors(part)

    def loop(self, turn: Callable[[int], Coroutine[None, None, None]]) -> Callable[[], Coroutine[None, None, None]]:
        """One that does `turn`, which is told how often it was begun."""

        async def run() -> None:
            self.begun.append(asyncio.get_running_loop().time())
            await turn(len(self.begun))

        return run


def test_loop_that_fails_again_and_again_fails_the_host() -> None:
    """Begun anew after a pause each time, each error counted; the last one is for whoever drains the host."""

    async def scenario() -> None:
        work = Work()

        async def turn(number: int) -> None:
            raise ValueError(number)

        work.tasks.keep(work.loop(turn))
        await work.has_failed.wait()
        assert [error.args for error in work.failures] == [(MOST_FAILURES,)]
        assert work.errors() == len(work.begun) == MOST_FAILURES
        assert work.begun[-1] - work.begun[0] >= (MOST_FAILURES - 1) * BEGIN_ANEW_SECONDS
        await work.tasks.cancel()

    run_jumping(scenario())


def test_loop_that_fails_now_and_then_goes_on() -> None:
    """One failure less than too many, and then it runs: the host hears nothing of it."""

    async def scenario() -> None:
        work, runs = Work(), asyncio.Event()

        async def turn(number: int) -> None:
            if number < MOST_FAILURES:
                raise ValueError(number)
            runs.set()
            await asyncio.Event().wait()

        task = work.tasks.keep(work.loop(turn))
        await runs.wait()
        assert (work.failures, work.errors(), task.done()) == ([], MOST_FAILURES - 1, False)
        await work.tasks.cancel()

    run_jumping(scenario())


def test_loop_that_fails_once_in_a_while_goes_on_for_ever() -> None:
    """However often, if there is time between: only failures that come close together are too many."""

    async def scenario() -> None:
        work, runs = Work(), asyncio.Event()

        async def turn(number: int) -> None:
            if number > 2 * MOST_FAILURES:
                runs.set()
            await asyncio.sleep(FAILURES_WITHIN_SECONDS / (MOST_FAILURES - 1))
            raise ValueError(number)

        work.tasks.keep(work.loop(turn))
        await runs.wait()
        assert (work.failures, work.errors()) == ([], 2 * MOST_FAILURES)
        await work.tasks.cancel()

    run_jumping(scenario())


def test_loop_that_ends_of_what_it_waited_for_is_begun_anew() -> None:
    """Something else was cancelled, not the loop: that is no reason for it to be gone without a word."""

    async def scenario() -> None:
        work, runs = Work(), asyncio.Event()

        async def turn(number: int) -> None:
            if number == 1:
                other = asyncio.get_running_loop().create_future()
                asyncio.get_running_loop().call_soon(other.cancel)
                await other
            runs.set()
            await asyncio.Event().wait()

        work.tasks.keep(work.loop(turn))
        asyncio.get_running_loop().call_later(2 * BEGIN_ANEW_SECONDS, runs.set)
        await runs.wait()
        assert (len(work.begun), work.errors(), work.failures) == (2, 1, [])
        await work.tasks.cancel()

    run_jumping(scenario())


def test_kept_loop_ends_with_the_host() -> None:
    """Cancelled while it runs and while it pauses after an error; no error is counted for that."""

    async def scenario() -> None:
        work, runs = Work(), asyncio.Event()

        async def turn(number: int) -> None:
            runs.set()
            await asyncio.Event().wait()

        async def fails(number: int) -> None:
            raise ValueError(number)

        running, pausing = work.tasks.keep(work.loop(turn)), work.tasks.keep(work.loop(fails))
        await runs.wait()
        await work.tasks.cancel()
        assert running.cancelled() and pausing.cancelled()
        assert (work.failures, work.errors()) == ([], 1)

    run_jumping(scenario())


def test_task_that_forgets_that_it_was_cancelled_ends_too() -> None:
    """As one does whose task group fails while it is cancelled (CPython 3.11); what stops with the tasks, after it."""

    async def scenario() -> None:
        work, order = Work(), list[str]()

        async def forgets() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                order.append("cancelled")
            await asyncio.Event().wait()

        async def stop() -> None:
            order.append("stopped")

        task = work.tasks.create_task(forgets())
        work.tasks.at_end(stop)
        await asyncio.sleep(0)  # it is begun
        await work.tasks.cancel()
        assert (task.cancelled(), order) == (True, ["cancelled", "stopped"])

    run_jumping(scenario())


def test_error_of_one_thing_is_counted_for_its_part_and_ends_nothing_else() -> None:
    """Of the part that it is told to be."""

    async def scenario() -> None:
        work = Work()

        async def fails() -> None:
            raise ValueError("once")

        task = work.tasks.create_task(fails(), part=InternalPart.RECOVERY)
        await asyncio.wait({task})
        await asyncio.sleep(0)  # its callbacks
        assert (work.failures, work.errors(InternalPart.RECOVERY), work.errors()) == ([], 1, 0)

    run_jumping(scenario())


def test_essential_failure_is_the_hosts_at_once() -> None:
    """A start is not begun anew."""

    async def scenario() -> None:
        work = Work()
        error = ValueError("start")

        async def fails() -> None:
            raise error

        work.tasks.essential(fails())
        await work.has_failed.wait()
        assert work.failures == [error]

    run_jumping(scenario())
