"""Runs a program to its end, showing what it says as progress, and explains it when it fails."""

import asyncio
import os
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence

from agenthost.errors import LocalServerError
from agenthost.livekit_server.guard import guarded

Report = Callable[[str, str], None]
"""Gets the step at hand in a few words, and a line of detail or ""; called on the loop, often."""


async def run(command: Sequence[str], environ: Mapping[str, str], report: Report, *, step: str) -> None:
    """Run `command` as `step` and report each line of its output.

    Raises LocalServerError when it fails. Cancelled, it kills the command and all that it started.
    """
    report(step, "")
    process = await asyncio.create_subprocess_exec(
        *guarded(command),
        env=dict(environ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
        limit=1024 * 1024,
    )
    last_lines: deque[str] = deque(maxlen=12)
    try:
        assert process.stdout is not None  # a pipe was asked for
        async for line in process.stdout:
            text = line.decode(errors="replace").rstrip()
            last_lines.append(text)
            report(step, text)
        code = await process.wait()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if code != 0:
        words = "".join(f"\n    {line}" for line in last_lines)
        raise LocalServerError(f"{step} failed, exit code {code}{words and '; its last words:' + words}")
