"""An event loop whose clock jumps to the next timer instead of waiting: minutes of time-outs pass in microseconds.

For code that waits on timers and tasks only; a thread or a socket would never be given its time.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._now = 1000.0
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self._now

    def jump(self, seconds: float) -> None:
        self._now += seconds


class _JumpingSelector(selectors.SelectSelector):
    def __init__(self, loop: JumpingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "everything waits for something that no timer and no task will bring"
        self._loop.jump(timeout)
        return super().select(0)


def run_jumping(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of `coroutine` on a loop of its own."""
    with asyncio.Runner(loop_factory=JumpingLoop) as runner:
        return runner.run(coroutine)
