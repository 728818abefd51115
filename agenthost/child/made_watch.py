"""Where sockets, event loops and files open for writing are made while something is imported.

Runs in templates, and in `validate --import`.
"""

import asyncio
import builtins
import io
import socket
import sys
import sysconfig
import weakref
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from agenthost.child.user_modules import is_installed, is_users

Place = tuple[str, int]

_OF_PYTHON = tuple(f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib"))


class MadeWatch:
    """Context manager around the import; ask afterwards, or in between."""

    def __init__(self) -> None:
        self._made: dict[int, tuple[weakref.ref[Any], Place]] = {}
        self._restore: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> "MadeWatch":
        self._note(socket.socket, "__init__")
        self._note(asyncio.BaseEventLoop, "__init__")
        for module in (builtins, io):
            self._note_result(module, "open")
        return self

    def __exit__(self, *_: object) -> None:
        while self._restore:
            owner, name, original = self._restore.pop()
            setattr(owner, name, original)

    def place(self, one: object) -> Place | None:
        """Where it was made; None where nobody watched, or it was made by no Python code."""
        made = self._made.get(id(one))
        return made[1] if made is not None and made[0]() is one else None

    def living(self) -> Iterator[tuple[Any, Place]]:
        """Everything that was made and is still there."""
        for reference, place in list(self._made.values()):
            if (one := reference()) is not None:
                yield one, place

    def _note(self, owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def noted(made: object, *arguments: Any, **options: Any) -> Any:
            self._made[id(made)] = (weakref.ref(made), _nearest(sys._getframe(1)))
            return original(made, *arguments, **options)

        self._replace(owner, name, noted)

    def _note_result(self, owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def noted(*arguments: Any, **options: Any) -> Any:
            made = original(*arguments, **options)
            raw = getattr(made, "buffer", made)
            raw = getattr(raw, "raw", raw)
            if isinstance(raw, io.FileIO) and raw.writable():
                self._made[id(raw)] = (weakref.ref(raw), _nearest(sys._getframe(1)))
            return made

        self._replace(owner, name, noted)

    def _replace(self, owner: Any, name: str, replacement: Callable[..., Any]) -> None:
        self._restore.append((owner, name, getattr(owner, name)))
        setattr(owner, name, replacement)


def shown(place: Place | None) -> str:
    return f"{place[0]}:{place[1]}" if place else "an unknown line"


def described(one: socket.socket) -> str:
    """What a socket is, and whom it is connected to."""
    if (peer := peer_of(one)) is not None:
        return f"a connection to {_address(peer)}"
    return "a socket that listens" if listens(one) else "a socket"


def peer_of(one: socket.socket) -> Any:
    """The address of its other end; None where it has none."""
    try:
        return one.getpeername()
    except OSError:
        return None


def listens(one: socket.socket) -> bool:
    try:
        return bool(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    except OSError:
        return False


def _address(peer: Any) -> str:
    return f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else str(peer or "its other end")


def _nearest(frame: FrameType | None) -> Place:
    """The nearest line of the user's own; else the nearest of a library; else the nearest of anybody's."""
    of_a_library: Place | None = None
    of_anybody: Place = ("", 0)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith("<"):
            if is_users(file):
                return file, frame.f_lineno
            if of_a_library is None and (is_installed(file) or not file.startswith(_OF_PYTHON)):
                of_a_library = (file, frame.f_lineno)
            of_anybody = of_anybody if of_anybody[0] else (file, frame.f_lineno)
        frame = frame.f_back
    return of_a_library or of_anybody
