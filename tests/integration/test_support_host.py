"""The harness that runs hosts must itself be able to fail: a lost event, a stray process, a deaf host."""

import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import pytest

from tests.support.host import HostProcess

HELLO = (
    'import json, time; print(json.dumps({"level": "INFO", "name": "x", "message": "hello", "agent": "a"}), flush=True)'
)


class Run(Protocol):
    async def __call__(self, code: str) -> HostProcess: ...


@pytest.fixture
async def run(tmp_path: Path) -> AsyncIterator[Run]:
    """A program in the place of agenthost; the test closes it itself."""
    async with AsyncExitStack() as stack:

        async def start(code: str) -> HostProcess:
            host = HostProcess(cwd=tmp_path, env={}, program=(sys.executable, "-c", code))
            await host.start()
            stack.callback(lambda: host.running and host.process.kill())
            return host

        yield start


async def test_events_are_read_as_they_come(run: Run) -> None:
    """wait_event returns while the program still runs; fields narrow it."""
    host = await run(f"print('not json', flush=True); {HELLO}; time.sleep(30)")
    line = await host.wait_event("hello", agent="a")
    assert (line.level, line.name, line.fields) == ("INFO", "x", {"agent": "a"})
    assert host.running
    assert host.events("hello", agent="b") == []
    await host.close()
    assert host.stray == ["not json"]


async def test_missing_event_shows_what_was_said(run: Run) -> None:
    """At the deadline, and at once when the program has ended."""
    host = await run(f"{HELLO}; time.sleep(30)")
    await host.wait_event("hello")
    with pytest.raises(AssertionError, match=r"no event 'bye'[\s\S]*hello"):
        await host.wait_event("bye", timeout=0.1)
    await host.close()
    ended = await run("raise SystemExit('broken')")
    with pytest.raises(AssertionError, match=r"ended without 'hello'[\s\S]*broken"):
        await ended.wait_event("hello", timeout=20)
    await ended.close()


async def test_exit_code_comes_with_all_output(run: Run) -> None:
    """Nothing that was written before the end is missing after it."""
    host = await run(f"{HELLO}; import sys; sys.stderr.write('bye'); raise SystemExit(7)")
    assert await host.exit_code() == 7
    assert (len(host.events("hello")), host.stderr) == (1, "bye")
    await host.close()


async def test_surviving_process_fails_the_test_and_is_killed(run: Run) -> None:
    """Also one that left the process group and whose parent is gone."""
    host = await run(
        "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'],"
        " start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)"
    )
    await host.exit_code()
    assert len(host.survivors()) == 1
    with pytest.raises(AssertionError, match="processes survived the host"):
        await host.close()
    assert await host.wait_no_survivors() == []


async def test_host_that_ignores_signals_fails_the_test(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three signals must end it."""
    for limit in ("DRAIN_SECONDS", "SIGNAL_SECONDS"):
        monkeypatch.setattr(f"agenthost.testing.host_process.{limit}", 0.1)
    host = await run(f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {HELLO}; time.sleep(60)")
    await host.wait_event("hello")
    with pytest.raises(AssertionError, match="did not end after three signals"):
        await host.close()
    assert not host.running


async def test_group_signal_reaches_children_too(run: Run) -> None:
    """What a terminal's Ctrl-C does."""
    host = await run(f"import os; pid = os.fork(); {HELLO}; time.sleep(60)")
    await host.wait_event("hello", count=2)
    host.signal(signal.SIGKILL, group=True)
    assert await host.exit_code() == -signal.SIGKILL
    assert await host.wait_no_survivors() == []
