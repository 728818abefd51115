"""What comes first in a livekit-agents job, done for nothing so that the real one starts faster: as child/rehearsal.py.

`warm_up` runs in templates, `rehearse` in processes that a job is about to come to.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from livekit import rtc
from livekit.agents import JobContext
from livekit.rtc._ffi_client import FfiClient
from msgspec.structs import replace

from agenthost.child.rehearsal import WARM_UP_RUNS, read_start
from agenthost.voice.job_run import VoiceRun

if TYPE_CHECKING:
    from agenthost.voice.job_process import VoiceProcess


def warm_up(make: Callable[[], "VoiceProcess"]) -> None:
    """Begin jobs that are never run; for a template, before it freezes its heap. Leaves nothing behind."""
    loop = asyncio.new_event_loop()
    with _library_refused():
        for _ in range(WARM_UP_RUNS):
            process = make()
            process.prewarm()
            with suppress(_LibraryNeeded):
                process.brace(loop, called=lambda: False)
            process.job_task.cancel()
            loop.run_until_complete(asyncio.wait([process.job_task]))
    loop.close()


def rehearse(process: "VoiceProcess", loop: asyncio.AbstractEventLoop, *, called: Callable[[], bool]) -> None:
    """Read a message, make the run of its job, their room and their context, and throw them away.

    `called` and `loop` as for a `JobRunner`.
    """
    if not called():
        loop.run_until_complete(_begin(process, called))


async def _begin(process: "VoiceProcess", called: Callable[[], bool]) -> None:
    # With a pair: without one the run would put its token into the environment.
    run = VoiceRun(replace(read_start(), api_key="-", api_secret="-"), process)
    order = run.order()
    if called():
        return
    room = rtc.Room()
    if called():
        return
    context = JobContext.__new__(JobContext)  # apart, so that its folder can be removed even when it fails
    try:
        JobContext.__init__(
            context,
            proc=process.job_proc._job_proc,
            info=order.running_job,
            room=room,
            on_connect=_nothing,
            on_shutdown=_nothing,
            inference_executor=process.job_proc._inf_client,
        )
    finally:
        context._tempdir.cleanup()


class _LibraryNeeded(Exception):
    """What comes next uses the native library, which starts threads: a template may not."""


@contextmanager
def _library_refused() -> Iterator[None]:
    """The context of livekit-agents 1.5 uses it when it is made; newer ones do not."""

    def refuse(_: object) -> None:
        raise _LibraryNeeded

    original = FfiClient.__init__
    setattr(FfiClient, "__init__", refuse)  # noqa: B010  an assignment is not allowed to a method
    try:
        yield
    finally:
        setattr(FfiClient, "__init__", original)  # noqa: B010


def _nothing(*_: Any) -> None:
    """Nobody joins, nobody ends."""
