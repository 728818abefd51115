"""What user code registered to run when its process ends: `atexit`, `weakref.finalize`, `logging.shutdown`.

Runs in job processes. They leave by `_exit`, since the end of the interpreter would also finalise their copies of what
the template made, so what is the job's own is called here: libraries that collect traces, events or error reports
send their last batch there. In the main thread, where an interpreter would call it, and with no loop running.
"""

import atexit
import logging
import os
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from types import FrameType
from typing import TYPE_CHECKING

from agenthost.child.forking import flush_output
from agenthost.ipc.channel import BlockingChannel
from agenthost.ipc.messages import Heartbeat, StopJob
from agenthost.logs.events import get_logger

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

HEARTBEAT_SECONDS = 1.0

log = get_logger("job")


def forget_the_templates() -> None:
    """Right after the fork: what the template registered is its own affair, and runs in no job.

    By the private parts that multiprocessing uses for its children; the standard library has no other way.
    """
    atexit._clear()
    finalizers: Iterator[weakref.finalize[..., object]] = iter(list(getattr(weakref.finalize, "_registry", ())))
    for finalizer in finalizers:
        finalizer.atexit = False
    # Else the finalizers that the job makes would be taken for registered with atexit, which has just forgotten them.
    weakref.finalize._registered_with_atexit = False  # type: ignore[attr-defined]  # no part of the stubs


def run_exit_functions(channel: BlockingChannel, *, seconds: float) -> None:
    """Call them all, the last registered first; what raises is logged. A process that takes longer ends on the spot.

    The host hears meanwhile that the process lives, and may shorten its time.
    """
    clock = _Clock(channel, seconds)
    try:
        threading.Thread(target=clock.run, name="agenthost: exit functions", daemon=True).start()
    except RuntimeError:  # no thread to be had: the host's own clock is what is left
        pass
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = _tell_raised
    atexit._run_exitfuncs()
    logging.shutdown()  # registered before the fork, for the handlers that the job has made since


class _Clock:
    """Ends the process when its time is over. Runs in a thread, while the main one calls the functions."""

    def __init__(self, channel: BlockingChannel, seconds: float) -> None:
        self._channel = channel
        self._seconds = seconds
        self._deadline = time.monotonic() + seconds

    def run(self) -> None:
        try:
            while (left := self._deadline - time.monotonic()) > 0:
                if self._channel.wait(min(left, HEARTBEAT_SECONDS)):
                    self._heed(self._channel.receive())
                else:
                    self._channel.send(Heartbeat(people=0))
        except EOFError:
            os._exit(1)  # the host is gone; nobody reads this code but a debugger
        log.warning(
            "exit functions took too long; the process ends without them",
            limit_seconds=round(self._seconds, 3),
            at=_where(sys._current_frames().get(threading.main_thread().ident or 0)),
        )
        flush_output()
        os._exit(0)

    def _heed(self, message: object) -> None:
        if isinstance(message, StopJob) and message.budget_seconds is not None:
            self._deadline = min(self._deadline, time.monotonic() + message.budget_seconds)


def _where(frame: FrameType | None) -> str:
    """The line of the function that is being called: the frame above our own, "" when there is none."""
    while frame is not None:
        caller = frame.f_back
        if caller is not None and caller.f_code is run_exit_functions.__code__:
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = caller
    return ""


def _tell_raised(raised: "UnraisableHookArgs") -> None:
    """atexit calls this for a function that raises, and goes on with the next."""
    log.error("failed while the process was ending", function=_name(raised), exc_info=raised.exc_value)


def _name(raised: "UnraisableHookArgs") -> str:
    """Of the function. From Python 3.13 on it is not handed over, and its repr stands in the message.

    Its frame says it better: the outermost of the traceback, which is ours where the function is not Python's own.
    """
    if raised.object is not None:
        return getattr(raised.object, "__qualname__", None) or repr(raised.object)
    if raised.exc_traceback is not None:
        code = raised.exc_traceback.tb_frame.f_code
        if code is not run_exit_functions.__code__:
            return code.co_qualname
    return (raised.err_msg or "").removeprefix("Exception ignored in atexit callback ")
