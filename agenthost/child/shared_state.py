"""What the import of shared code leaves that all jobs would work with at once: found, and named with its line.

Runs in agent templates under `imports: shared`. Threads and the livekit FFI do not survive a fork, two jobs that talk
over one connection get each other's answers, and an event loop wakes for the other's events: errors. A file that is
open for writing, or a datagram socket, may be meant that way: a warning.
"""

import asyncio
import builtins
import gc
import io
import os
import socket
import sys
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

from agenthost.child.thread_watch import ThreadWatch
from agenthost.child.user_modules import is_users
from agenthost.errors import EntrypointError
from agenthost.ipc.messages import CodeSpec
from agenthost.logs.events import get_logger

log = get_logger("template")

Place = tuple[str, int]


class SharedState:
    """Context manager around the import and the shared prewarm; `check` afterwards."""

    def __init__(self) -> None:
        self._threads = ThreadWatch()
        self._made: dict[int, tuple[weakref.ref[Any], Place]] = {}
        self._before: set[int] = set()
        self._restore: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> "SharedState":
        self._before = {id(one) for one in gc.get_objects() if _is_shared(one)}
        self._note(socket.socket, "__init__")
        self._note(asyncio.BaseEventLoop, "__init__")
        for module in (builtins, io):
            self._note_result(module, "open")
        self._threads.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.__exit__()
        while self._restore:
            owner, name, original = self._restore.pop()
            setattr(owner, name, original)

    def check(self, code: CodeSpec, phase: str) -> None:
        """Raises EntrypointError for what no jobs can share; warns of what they hardly can."""
        what = f"`{code.prewarm}` is a shared prewarm" if phase == "prewarm" else "`imports: shared` is written"
        wrong, odd = self._left()
        if threads := self._threads.culprits():
            raise EntrypointError(
                f"{what}, and the processes of all jobs are forked after it, so it may not leave a thread behind. "
                f"Found {'; '.join(threads)}. End the thread, or take `shared` away"
            )
        for text, place in odd:
            log.warning("shared by all jobs", what=text, at=_shown(place), hint="imports: own gives each job its own")
        if wrong:
            text, place = wrong[0]
            raise EntrypointError(
                f"{what}, so all jobs would share {text}{f', made at {_shown(place)}' if place else ''}: make it in "
                "the entrypoint or in a prewarm that is not shared, or take `shared` away",
                file=place[0] if place else "",
                line=place[1] if place else 0,
            )

    def _left(self) -> tuple[list[tuple[str, Place | None]], list[tuple[str, Place | None]]]:
        wrong: list[tuple[str, Place | None]] = []
        odd: list[tuple[str, Place | None]] = []
        for one in gc.get_objects():
            if id(one) in self._before or not _is_shared(one):
                continue
            made = self._made.get(id(one))
            place = made[1] if made is not None and made[0]() is one else None
            if isinstance(one, asyncio.AbstractEventLoop):
                wrong.append(("an event loop", place))
            elif isinstance(one, socket.socket):
                (odd if one.type == socket.SOCK_DGRAM else wrong).append((_described(one), place))
            else:
                odd.append((f"the file {getattr(one, 'name', '')}, open for writing", place))
        return wrong, odd

    def _note(self, owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def noted(made: object, *arguments: Any, **options: Any) -> Any:
            self._made[id(made)] = (weakref.ref(made), _place(sys._getframe(1)))
            return original(made, *arguments, **options)

        self._replace(owner, name, noted)

    def _note_result(self, owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def noted(*arguments: Any, **options: Any) -> Any:
            made = original(*arguments, **options)
            raw = getattr(made, "buffer", made)
            raw = getattr(raw, "raw", raw)
            if isinstance(raw, io.FileIO) and raw.writable():
                self._made[id(raw)] = (weakref.ref(raw), _place(sys._getframe(1)))
            return made

        self._replace(owner, name, noted)

    def _replace(self, owner: Any, name: str, replacement: Callable[..., Any]) -> None:
        self._restore.append((owner, name, getattr(owner, name)))
        setattr(owner, name, replacement)


def _is_shared(one: object) -> bool:
    """Whether it is something that works as one for all who have it."""
    kind = type(one)
    if issubclass(kind, socket.socket):
        assert isinstance(one, socket.socket)
        return one.fileno() >= 0 and (_peer(one) is not None or _listens(one))
    if issubclass(kind, asyncio.AbstractEventLoop):
        assert isinstance(one, asyncio.AbstractEventLoop)
        return not one.is_closed()
    if issubclass(kind, io.FileIO):
        assert isinstance(one, io.FileIO)
        return not one.closed and one.fileno() > 2 and one.writable() and os.path.isfile(str(one.name))  # noqa: PTH113
    return False


def _described(one: socket.socket) -> str:
    return f"a connection to {_address(_peer(one))}" if _peer(one) is not None else "a socket that listens"


def _address(peer: Any) -> str:
    return f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else str(peer or "its other end")


def _peer(one: socket.socket) -> Any:
    try:
        return one.getpeername()
    except OSError:
        return None


def _listens(one: socket.socket) -> bool:
    try:
        return bool(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return False


def _place(frame: FrameType | None) -> Place:
    """The nearest line of the user's own; else the nearest of anybody's."""
    nearest: Place = ("", 0)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith("<") and is_users(file):
            return file, frame.f_lineno
        nearest = nearest if nearest[0] else (file, frame.f_lineno)
        frame = frame.f_back
    return nearest


def _shown(place: Place | None) -> str:
    return f"{place[0]}:{place[1]}" if place else "an unknown line"
