"""Who started a thread, or the livekit FFI, while user code was imported: the reason why a template may not fork.

Runs in an agent template (and, for the message, in `validate --import`). A fork copies one thread only; whatever the
others held stays locked for ever in the child, so a template with a second thread never forks unless told to.
"""

import builtins
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from agenthost import kernel


class ThreadWatch:
    """Context manager around the import of user code; `culprits()` afterwards says who stands in the way."""

    def __init__(self) -> None:
        self._python: dict[int, str] = {}
        self._native: list[str] = []
        self._ffi = ""
        self._import: Callable[..., Any] = builtins.__import__
        self._start: Callable[[threading.Thread], None] = threading.Thread.start

    def __enter__(self) -> "ThreadWatch":
        watch = self

        def watched_import(name: str, *args: Any, **kwargs: Any) -> Any:
            before = kernel.thread_count()
            python_before = threading.active_count()
            ffi_before = ffi_in_use()
            module = watch._import(name, *args, **kwargs)
            frame = sys._getframe(1)
            if kernel.thread_count() != before and threading.active_count() == python_before and not watch._native:
                watch._native.append(f"a native thread, started by `import {name}` at {_place(frame)}")
            if not ffi_before and ffi_in_use() and not watch._ffi:
                watch._ffi = f"the livekit FFI, used by `import {name}` at {_place(frame)}"
            return module

        def watched_start(thread: threading.Thread) -> None:
            watch._start(thread)
            watch._python[thread.ident or 0] = f"thread {thread.name!r}, started at {_place(sys._getframe(1))}"

        builtins.__import__ = watched_import
        threading.Thread.start = watched_start  # type: ignore[method-assign,assignment]
        return self

    def __exit__(self, *_: object) -> None:
        builtins.__import__ = self._import
        threading.Thread.start = self._start  # type: ignore[method-assign,assignment]

    def culprits(self) -> tuple[str, ...]:
        """One text a reason; empty when this process may fork."""
        alive = {thread.ident or 0 for thread in threading.enumerate() if thread is not threading.main_thread()}
        found = [self._python.get(ident, "a thread of unknown origin") for ident in sorted(alive)]
        native = (kernel.thread_count() or 1) - 1 - len(alive)
        if native > 0:
            found += self._native or [f"{native} native thread(s) of unknown origin"]
        if ffi_in_use():
            found.append(self._ffi or "the livekit FFI, used while the module was imported")
        return tuple(found)


def ffi_in_use() -> bool:
    """The FFI client of livekit.rtc exists: it has threads, and refuses to work in a forked child."""
    module = sys.modules.get("livekit.rtc._ffi_client")
    client = getattr(module, "FfiClient", None)
    return getattr(client, "_instance", None) is not None


def _place(frame: FrameType | None) -> str:
    """The nearest frame that is user code: not agenthost, not the standard library, not the import system."""
    nearest = "an unknown line"
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith("<") and "/agenthost/child/" not in file and file != threading.__file__:
            nearest = f"{file}:{frame.f_lineno}"
            if "site-packages" not in file and "/lib/python" not in file:
                break
        frame = frame.f_back
    return nearest
