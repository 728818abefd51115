"""Hears from the system that something happened in a directory (watchdog). Its threads only call `on_event`.

One thread a directory is what watchdog needs, so only the first `MOST_DIRECTORIES` are watched; for the others, and
where the system has no notifications left, the owner has to look by itself from time to time.
"""

import errno
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from agenthost.watching.places import Interest

if TYPE_CHECKING:
    from watchdog.events import FileSystemEvent, FileSystemEventHandler
    from watchdog.observers.api import BaseObserver, ObservedWatch

MOST_DIRECTORIES = 64
_READING = frozenset({"opened", "closed_no_write"})  # we do that ourselves, to compare
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EACCES})


class NotifierFailed(Exception):
    """The system gives no (more) notifications; `str()` says why."""


class Notifier:
    """`on_event` is called, from other threads, when an entry that is of interest was made, written, or removed."""

    def __init__(self, on_event: Callable[[], None]) -> None:
        self._on_event = on_event
        self._observer: BaseObserver | None = None
        self._handler: FileSystemEventHandler
        self._watches: dict[Path, tuple[tuple[int, int], ObservedWatch]] = {}
        self._interests: dict[str, Interest] = {}  # replaced as a whole: the other threads read it

    def start(self) -> None:
        """Raises NotifierFailed."""
        try:
            self._observer = self._start()
        except (OSError, RuntimeError) as error:
            raise NotifierFailed(_reason(error)) from error

    def _start(self) -> "BaseObserver":
        from watchdog.events import FileSystemEventHandler
        from watchdog.observers import Observer

        class Handler(FileSystemEventHandler):
            dispatch = staticmethod(self._heard)  # every kind of event, in a thread of watchdog

        self._handler = Handler()
        observer = Observer()
        observer.start()
        return observer

    def stop(self) -> None:
        """No call of `on_event` after this one; also fine when it never started."""
        observer, self._observer = self._observer, None
        self._watches.clear()
        self._interests = {}
        if observer is not None:
            observer.stop()
            observer.join()

    def watch(self, interests: Mapping[Path, Interest]) -> bool:
        """Watch these directories and no others; whether one of them was not watched before. Raises NotifierFailed."""
        if self._observer is None:
            return False
        chosen = dict(sorted(interests.items(), key=_importance)[:MOST_DIRECTORIES])
        self._interests = {os.fspath(path): interest for path, interest in chosen.items()}
        for path, (identity, watch) in list(self._watches.items()):
            if path not in chosen or chosen[path].identity != identity:
                del self._watches[path]
                self._observer.unschedule(watch)
        added = [path for path in chosen if path not in self._watches]
        scheduled = [self._add(self._observer, path, chosen[path].identity) for path in added]
        return any(scheduled)

    def _add(self, observer: "BaseObserver", path: Path, identity: tuple[int, int]) -> bool:
        try:
            watch = observer.schedule(self._handler, os.fspath(path), recursive=False)
        except (OSError, RuntimeError) as error:  # RuntimeError: no thread to be had
            if isinstance(error, OSError) and error.errno in _GONE:
                return False
            raise NotifierFailed(_reason(error)) from error
        self._watches[path] = identity, watch
        return True

    def _heard(self, event: "FileSystemEvent") -> None:
        if event.event_type in _READING or (event.is_directory and event.event_type == "modified"):
            return
        paths = (os.fsdecode(path) for path in (event.src_path, event.dest_path) if path)
        if any(self._concerns(path, is_folder=event.is_directory) for path in paths):
            self._on_event()

    def _concerns(self, path: str, *, is_folder: bool) -> bool:
        interests = self._interests
        if path in interests:
            return True
        folder, name = os.path.split(path)
        return folder in interests and interests[folder].covers(name, is_folder=is_folder)


def _reason(error: OSError | RuntimeError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _importance(item: tuple[Path, Interest]) -> tuple[bool, int]:
    """Directories of files that were named come before those that were only found, then those nearest the top."""
    path, interest = item
    return not interest.names, len(path.parts)
