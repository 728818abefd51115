"""A job that is begun for nothing leaves nothing behind, and the real one after it is served."""

import asyncio
import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from livekit.rtc._ffi_client import FfiClient

from agenthost import kernel
from agenthost.child.rehearsal import STAND_IN
from agenthost.child.thread_watch import ffi_in_use
from agenthost.ipc.messages import Ready, Reserved, Started
from agenthost.voice.inference import InferenceRunners
from agenthost.voice.job_process import VoiceProcess
from agenthost.voice.rehearsal import rehearse, warm_up
from tests.support.job_process import JobTemplate, start_job
from tests.support.polling import poll
from tests.support.voice_jobs import voice_fork, voice_template


@pytest.fixture(scope="module")
def template() -> Iterator[JobTemplate]:
    with voice_template() as made:
        yield made


def make_process() -> VoiceProcess:
    return VoiceProcess(STAND_IN, {}, simulation_end=None, inference=InferenceRunners(), proxy="")


def test_warm_up_leaves_the_template_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No thread, descriptor, variable or folder, and the native library is not in use."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(FfiClient, "_instance", None)  # another test of this process may have used it

    def state() -> tuple[object, ...]:
        gc.collect()
        return kernel.thread_count(), os.listdir("/proc/self/fd"), dict(os.environ), list(tmp_path.iterdir())

    warm_up(make_process)  # once before, for what is made at the first use and stays
    before = state()
    warm_up(make_process)
    assert state() == before
    assert not ffi_in_use()


def test_rehearsal_stops_when_the_job_is_there() -> None:
    """Between two parts, whichever they are."""
    process = make_process()
    process.prewarm()
    loop = asyncio.new_event_loop()
    for parts in range(3):
        answers = iter([False] * parts + [True])
        rehearse(process, loop, called=lambda answers=answers: next(answers))
        assert list(answers) == []
    loop.close()


def test_a_second_reservation_finds_what_the_first_has_begun() -> None:
    """Their side of the job waits for its order already."""
    process = make_process()
    process.prewarm()
    loop = asyncio.new_event_loop()
    process.brace(loop, called=lambda: False)
    begun = (process.orders, process.job_task)
    process.brace(loop, called=lambda: False)
    assert (process.orders, process.job_task) == begun
    process.job_task.cancel()
    loop.run_until_complete(asyncio.wait([process.job_task]))
    loop.close()


@pytest.mark.parametrize("times", [0, 1, 2])
async def test_reserved_any_number_of_times_it_serves_one_job(
    template: JobTemplate, tmp_path: Path, times: int
) -> None:
    """A reservation may have been given back."""
    code = """
from pathlib import Path
from livekit import rtc

made = []
make = rtc.Room.__init__

def counted(room):
    make(room)
    made.append(room)
    Path(f"made {len(made)}").touch()

rtc.Room.__init__ = counted
server = AgentServer()

@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    assert ctx.room is made[-1]
    ctx.shutdown("enough")
"""
    with voice_fork(template, tmp_path) as fork:
        process = fork(code)
        process.receive(Ready)
        warmed = len(list(tmp_path.glob("made *")))
        for time in range(times):
            await asyncio.to_thread(process.send, Reserved())
            await poll((tmp_path / f"made {warmed + time + 1}").exists, timeout=5, what="the process did not rehearse")
        await asyncio.to_thread(process.send, start_job(room="room"))
        assert isinstance(process.receive(Started), Started)
        assert process.end().reason == "enough"
    assert process.output == ""
