"""Rehearsals leave nothing behind but warm code and pages."""

import asyncio
import os
import threading
from pathlib import Path

from agenthost.child.rehearsal import rehearse, warm_up
from agenthost.context.current import get_job_context
from agenthost.ipc.messages import Ready, Started
from tests.support.job_process import Fork, start_job
from tests.support.polling import poll


def test_warm_up_leaves_no_thread_no_descriptor_and_no_job() -> None:
    """A template forks afterwards: it must be as it was."""
    before = (threading.active_count(), len(os.listdir("/proc/self/fd")))
    warm_up()
    loop = asyncio.new_event_loop()
    rehearse(loop, called=lambda: False)
    loop.close()
    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == before
    assert get_job_context(required=False) is None


def test_rehearsal_stops_when_the_job_is_there() -> None:
    """Between two steps, whichever they are: the real job must not wait."""
    loop = asyncio.new_event_loop()
    for steps in range(2):
        answers = iter([False] * steps + [True])
        rehearse(loop, called=lambda answers=answers: next(answers))
        assert list(answers) == []
    loop.close()


async def test_process_rehearses_and_still_serves(fork: Fork, tmp_path: Path) -> None:
    """It has made a job before there is one; nothing of that shows in its messages, its log or its output."""
    code = """
        from pathlib import Path
        from agenthost.context.job_room import JobRoom

        made = []
        make = JobRoom.__init__

        def counted(room, name):
            made.append(name)
            Path(f"made {len(made)}").touch()
            make(room, name)

        JobRoom.__init__ = counted

        async def entrypoint(ctx):
            Path("rooms").write_text(repr(made))
    """
    process = fork(code)
    process.receive(Ready)
    await poll((tmp_path / "made 1").exists, timeout=5, what="the process did not rehearse")
    await asyncio.to_thread(process.send, start_job(room="room"))
    assert isinstance(process.receive(Started), Started)
    assert process.end().reason == "entrypoint returned"
    assert (tmp_path / "rooms").read_text() == "['', 'room']"
    assert {line.message for line in process.lines} == {"a phase of the end is over"}
    assert process.output == ""
