"""What dead processes left running: found among the children that the host adopted, and killed.

Runs on the host's loop. A look lists all children of the host, which takes the longer the more jobs there are. So one
look serves all processes that have ended since the last one, and looks keep a distance: what the end of a job costs
the host does not grow with the jobs that run beside it.
"""

import asyncio
import signal
from collections.abc import Callable, Mapping

from agenthost import kernel

BETWEEN_SECONDS = 0.1
"""From one look to the next for processes that have ended meanwhile. The first one after a pause looks at once."""

_LOOK_AGAIN_SECONDS = 1.0


class LeftBehind:
    """`is_known`: a child is one of our own processes, or somebody else's, and not adopted."""

    def __init__(self, is_known: Callable[[int], bool]) -> None:
        self._is_known = is_known
        self._dead: dict[int, str] = {}
        self._next_look = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def kill(self, pid: int, number: int) -> None:
        """SIGKILL to what process `pid`, which has ended, left running; `number` is that of its fork request.

        Found by its session, or, where it detached itself, by the environment its program was started with. What
        those have started goes with them; it would otherwise be adopted only when nobody looks any more.
        """
        self._dead[pid] = str(number)
        if self._timer is None:
            loop = asyncio.get_running_loop()
            wait = self._next_look - loop.time()
            if wait > 0:
                self._timer = loop.call_later(wait, self._look_for_all)
            else:
                self._look_for_all()

    def _look_for_all(self) -> None:
        self._timer = None
        self._next_look = asyncio.get_running_loop().time() + BETWEEN_SECONDS
        dead, self._dead = self._dead, {}
        self._look(dead, looks=2)

    def _look(self, dead: Mapping[int, str], looks: int) -> None:
        """Have so many looks, a second apart, if there are adopted children of whom nothing tells whose they are.

        A daemon on its way to its program shows no environment of its own yet. A look without descriptors is none.
        """
        try:
            children, unknown = kernel.children(), False
        except OSError:
            children, unknown, looks = [], True, looks + 1
        numbers = frozenset(dead.values())
        for child in children:
            if self._is_known(child):
                continue
            if kernel.session_of(child) in dead or kernel.start_variable(child, kernel.PROCESS_NUMBER) in numbers:
                for each in (child, *kernel.descendants(child)):
                    kernel.send_signal(each, signal.SIGKILL)
            else:
                unknown = True
        if unknown and looks > 1:
            asyncio.get_running_loop().call_later(_LOOK_AGAIN_SECONDS, self._look, dead, looks - 1)
