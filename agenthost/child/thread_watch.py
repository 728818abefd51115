"""Who started a thread, or the livekit FFI, while something was imported: the reason why a template may not fork.

Runs in templates (and, for the message, in `validate --import`). A fork copies one thread only; whatever the others
held stays locked for ever in the child, so a template with a second thread never forks.
"""

import builtins
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any

from agenthost import kernel
from agenthost.child.user_modules import is_users

_SETTLE_SECONDS = 0.02


class ThreadWatch:
    """Context manager around the import of user code; `culprits()` afterwards says who stands in the way."""

    def __init__(self) -> None:
        self._python: dict[int, str] = {}
        self._native: list[str] = []
        self._ffi = ""
        self._importing: list[str] = []
        self._restore: list[tuple[object, str, Any]] = []

    def __enter__(self) -> "ThreadWatch":
        self._replace(builtins, "__import__", self._watched_import)
        self._replace(threading.Thread, "start", self._watched_start)
        if (client := _ffi_client()) is not None:
            self._replace(client, "__init__", self._watched_ffi)
        return self

    def __exit__(self, *_: object) -> None:
        while self._restore:
            owner, name, original = self._restore.pop()
            setattr(owner, name, original)

    def culprits(self) -> tuple[str, ...]:
        """One text a reason; empty when this process may fork."""
        alive = {thread.ident or 0 for thread in threading.enumerate() if thread is not threading.main_thread()}
        found = [self._python.get(ident) or _found_there(ident) for ident in sorted(alive)]
        native = _native_threads()
        if ffi_in_use():  # most of the native threads are its own
            found.append(self._ffi or "the livekit FFI, used while the module was imported")
            found += self._native
        elif native > 0:
            found += self._native or [f"{native} native thread(s) of unknown origin{_customised()}"]
        return tuple(found)

    def importing(self) -> tuple[str, ...]:
        """The modules that were being imported when threads were started, since this was asked last."""
        names, self._importing = tuple(dict.fromkeys(self._importing)), []
        return names

    def _replace(self, owner: object, name: str, watched: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        original = getattr(owner, name)
        self._restore.append((owner, name, original))
        setattr(owner, name, watched(original))

    def _watched_import(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def watched(name: str, *args: Any, **kwargs: Any) -> Any:
            # Nearly all are: counting threads for each of them costs a fifth of a large import.
            if _is_loaded(name, *args, **kwargs):
                return original(name, *args, **kwargs)
            threads, used_ffi, natives = _threads_now(), ffi_in_use(), len(self._native)
            module = original(name, *args, **kwargs)
            more = _threads_now() > threads and _native_threads() > threads
            if more and ffi_in_use() == used_ffi and len(self._native) == natives:
                place = _place(sys._getframe(1))
                self._native.append(f"a native thread, started by `import {name}` at {place}")
            return module

        return watched

    def _watched_start(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def watched(thread: threading.Thread) -> None:
            original(thread)
            self._python[thread.ident or 0] = f"thread {thread.name!r}, started at {_place(sys._getframe(1))}"
            self._importing += _being_imported(sys._getframe(1))

        return watched

    def _watched_ffi(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def watched(client: object) -> None:
            self._ffi = self._ffi or f"the livekit FFI, used at {_place(sys._getframe(1))}"
            original(client)

        return watched


def _is_loaded(
    name: str,
    globals: Mapping[str, Any] | None = None,
    locals: object = None,
    fromlist: Sequence[str] | None = (),
    level: int = 0,
) -> bool:
    """Whether an import statement, given as to `__import__`, will run no code: module and names are there."""
    if level:
        package = str((globals or {}).get("__package__") or "").split(".")
        name = ".".join([*package[: len(package) - level + 1], *([name] if name else [])])
    module = sys.modules.get(name)
    return module is not None and all(each in getattr(module, "__dict__", ()) for each in fromlist or ())


def _threads_now() -> int:
    """Threads that Python has not started itself."""
    return (kernel.thread_count() or 1) - threading.active_count()


def _native_threads() -> int:
    """The same, once it is certain: a thread that was joined is seen for a moment longer."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while (native := _threads_now()) > 0 and time.monotonic() < deadline:
        time.sleep(0.001)
    return native


def ffi_in_use() -> bool:
    """The FFI client of livekit.rtc exists: it has threads, and refuses to work in a forked child."""
    return getattr(_ffi_client(), "_instance", None) is not None


def _ffi_client() -> object | None:
    """The class of the FFI client, where livekit.rtc was imported."""
    return getattr(sys.modules.get("livekit.rtc._ffi_client"), "FfiClient", None)


def _found_there(ident: int) -> str:
    """A thread that ran before anybody watched: what it runs says where it comes from."""
    thread = next((one for one in threading.enumerate() if one.ident == ident), None)
    name = f"thread {thread.name!r}" if thread is not None else "a thread"
    frame = sys._current_frames().get(ident)
    places = []
    while frame is not None:
        if frame.f_code.co_filename not in (threading.__file__, "<frozen threading>"):
            places.append(f"{frame.f_code.co_filename}:{frame.f_lineno}")
        frame = frame.f_back
    running = f", running {places[-1]}" if places else " of unknown origin"
    return f"{name}{running}{_customised()}"


def _customised() -> str:
    """What every interpreter of this environment imports, before all else."""
    files = [getattr(sys.modules.get(name), "__file__", None) for name in ("sitecustomize", "usercustomize")]
    found = " and ".join(str(file) for file in files if file)
    return f" ({found} is imported by every interpreter here)" if found else ""


def _being_imported(frame: FrameType | None) -> list[str]:
    names = []
    while frame is not None:
        if frame.f_code.co_name == "<module>" and "importlib" not in frame.f_code.co_filename:
            names.append(str(frame.f_globals.get("__name__")))
        frame = frame.f_back
    return [name for name in reversed(names) if name != "__main__"]


def _place(frame: FrameType | None) -> str:
    """The nearest frame that is user code; else the nearest that is neither agenthost nor the import system."""
    nearest = ""
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith("<") and "/agenthost/child/" not in file and file != threading.__file__:
            if is_users(file):
                return f"{file}:{frame.f_lineno}"
            nearest = nearest or f"{file}:{frame.f_lineno}"
        frame = frame.f_back
    return nearest or "an unknown line"
