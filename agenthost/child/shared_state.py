"""What the import of shared code leaves that all jobs would work with at once: found, and named with its line.

Runs in agent templates under `imports: shared`, and in `validate --import`. Threads and the livekit FFI do not survive
a fork, two jobs that talk over one connection get each other's answers, and an event loop wakes for the other's
events: errors. A file that is open for writing, a datagram socket or a random generator may be meant that way: a
warning.
"""

import asyncio
import gc
import io
import os
import random
import socket
import sys

from agenthost.child.made_watch import MadeWatch, Place, described, listens, peer_of, shown
from agenthost.child.thread_watch import ThreadWatch
from agenthost.child.user_errors import bound_at
from agenthost.child.user_modules import is_users_module
from agenthost.errors import EntrypointError
from agenthost.ipc.messages import CodeSpec


class SharedState:
    """Context manager around the import and the shared prewarm; `check` afterwards."""

    def __init__(self) -> None:
        self._threads = ThreadWatch()
        self._made = MadeWatch()
        self._before: set[int] = set()

    def __enter__(self) -> "SharedState":
        self._before = {id(one) for one in gc.get_objects() if _is_shared(one)}
        self._made.__enter__()
        self._threads.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.__exit__()
        self._made.__exit__()

    def check(self, code: CodeSpec, phase: str) -> tuple[tuple[str, str], ...]:
        """Raises EntrypointError for what no jobs can share; returns what they hardly can, each with its place."""
        what = f"`{code.prewarm}` is a shared prewarm" if phase == "prewarm" else "`imports: shared` is written"
        wrong, odd = self._left()
        if threads := self._threads.culprits():
            raise EntrypointError(
                f"{what}, and the processes of all jobs are forked after it, so it may not leave a thread behind. "
                f"Found {'; '.join(threads)}. End the thread, or take `shared` away"
            )
        if wrong:
            text, place = wrong[0]
            raise EntrypointError(
                f"{what}, so all jobs would share {text}{f', made at {shown(place)}' if place else ''}: make it in "
                "the entrypoint or in a prewarm that is not shared, or take `shared` away",
                file=place[0] if place else "",
                line=place[1] if place else 0,
            )
        return tuple((text, shown(place)) for text, place in [*odd, *_random_generators()])

    def _left(self) -> tuple[list[tuple[str, Place | None]], list[tuple[str, Place | None]]]:
        wrong: list[tuple[str, Place | None]] = []
        odd: list[tuple[str, Place | None]] = []
        for one in gc.get_objects():
            if id(one) in self._before or not _is_shared(one):
                continue
            place = self._made.place(one)
            if isinstance(one, asyncio.AbstractEventLoop):
                wrong.append(("an event loop", place))
            elif isinstance(one, socket.socket):
                (odd if one.type == socket.SOCK_DGRAM else wrong).append((described(one), place))
            else:
                odd.append((f"the file {getattr(one, 'name', '')}, open for writing", place))
        return wrong, odd


def _is_shared(one: object) -> bool:
    """Whether it is something that works as one for all who have it."""
    kind = type(one)
    if issubclass(kind, socket.socket):
        assert isinstance(one, socket.socket)
        return one.fileno() >= 0 and (peer_of(one) is not None or listens(one))
    if issubclass(kind, asyncio.AbstractEventLoop):
        assert isinstance(one, asyncio.AbstractEventLoop)
        return not one.is_closed()
    if issubclass(kind, io.FileIO):
        assert isinstance(one, io.FileIO)
        return not one.closed and one.fileno() > 2 and one.writable() and os.path.isfile(str(one.name))  # noqa: PTH113
    return False


def _random_generators() -> list[tuple[str, Place]]:
    """Those that modules of the user's have: all jobs would draw the same numbers."""
    found: dict[int, tuple[str, Place]] = {}
    for module in list(sys.modules.values()):
        if not is_users_module(module):
            continue
        for name, value in list(vars(module).items()):
            if _is_random(value):
                text = f"the random generator `{name}`, which gives each the same numbers"
                found.setdefault(id(value), (text, bound_at(value, module)))
    return list(found.values())


def _is_random(value: object) -> bool:
    numpy_random = sys.modules.get("numpy.random")
    kinds = (random.Random, *(getattr(numpy_random, name) for name in ("Generator", "RandomState") if numpy_random))
    return isinstance(value, kinds) and not isinstance(value, random.SystemRandom)
