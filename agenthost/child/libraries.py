"""The libraries of an agent template: imported once for all processes that are forked from it.

Runs in agent templates. All these processes share what importing a library leaves behind, so one is found out that
leaves what must not be shared: a thread, which no fork has, an open socket, pipe or event loop, or modules of the
user's own. The template is of no use then; the next one goes without that library, and each process imports it.
"""

import asyncio
import importlib
import os
import socket
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from agenthost.child.made_watch import MadeWatch, described, shown
from agenthost.child.thread_watch import ThreadWatch
from agenthost.child.user_modules import user_modules
from agenthost.ipc.messages import LeftOut, Library

_LOOP = "an event loop"


def import_libraries(libraries: tuple[Library, ...], left_out: tuple[str, ...]) -> tuple[LeftOut, ...]:
    """Import all but `left_out` and what lies below those; the ones that are to be left out, too.

    One that cannot be imported is passed over: the process that needs it tells of that.
    """
    found: list[LeftOut] = []
    watch, made = ThreadWatch(), MadeWatch()
    before = _State(watch, made)
    with watch, made:
        for library in libraries:
            if library.name in sys.modules or _is_below(library.name, left_out):
                continue
            with _changed_environment(library.env):
                try:
                    importlib.import_module(library.name)
                except BaseException:
                    pass
            now = _State(watch, made)
            if reason := now.beyond(before):
                found.append(LeftOut(names=(library.name, *watch.importing()), reason=reason))
            before = now
    return tuple(found)


class _State:
    """What must not change by the import of a library."""

    def __init__(self, watch: ThreadWatch, made: MadeWatch) -> None:
        self._made = made
        self._threads = watch.culprits()
        self._descriptors = _shared_descriptors()
        self._modules = user_modules()

    def beyond(self, before: "_State") -> str:
        """What it does that keeps it out of a template; "" if nothing."""
        threads = [text for text in self._threads if text not in before._threads]
        if threads:
            return f"it starts {'; '.join(threads)}"
        opened = {number: what for number, what in self._descriptors.items() if number not in before._descriptors}
        if opened:
            return f"it opens {', '.join(_places(opened, self._made))}"
        modules = set(self._modules) - set(before._modules)
        return f"it imports code of yours ({sorted(modules)[0]})" if modules else ""


def _places(opened: Mapping[int, str], made: MadeWatch) -> list[str]:
    """What these descriptors are, with the line that made them where Python code did."""
    told: dict[str, None] = {}
    loops = {place for one, place in made.living() if isinstance(one, asyncio.AbstractEventLoop)}
    sockets = {one.fileno(): (one, place) for one, place in made.living() if isinstance(one, socket.socket)}
    for number, what in opened.items():
        if number in sockets:
            one, place = sockets[number]
            what = f"{_LOOP if place in loops else described(one)} at {shown(place)}"
        elif what == _LOOP and loops:
            what = f"{_LOOP} at {shown(min(loops))}"
        told[what] = None
    return list(told)


def _shared_descriptors() -> dict[int, str]:
    """Those that work as one for all who have them: what they are, by number."""
    try:
        numbers = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208  as often as libraries are imported
    except OSError:
        return {}
    return {number: kind for number in numbers if (kind := _kind_of(number))}


def _kind_of(number: int) -> str:
    try:
        mode = os.fstat(number).st_mode
        if stat.S_ISSOCK(mode):
            return "a socket"
        if stat.S_ISFIFO(mode):
            return "a pipe"
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            return ""  # its data, or a log; what is written there by many goes behind one another
        target = os.readlink(f"/proc/self/fd/{number}")  # noqa: PTH115
    except OSError:
        return ""  # the folder that was listed
    if target.startswith("anon_inode:[event"):
        return _LOOP
    return target if target.startswith("/dev/nvidia") else ""


def _is_below(name: str, left_out: tuple[str, ...]) -> bool:
    return any(name == other or name.startswith(f"{other}.") for other in left_out)


@contextmanager
def _changed_environment(changes: Mapping[str, str | None]) -> Iterator[None]:
    before = dict(os.environ) if changes else {}
    for name, value in changes.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    try:
        yield
    finally:
        for name in changes:
            if name in before:
                os.environ[name] = before[name]
            else:
                os.environ.pop(name, None)
