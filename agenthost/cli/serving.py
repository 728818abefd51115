"""Installs or runs the LiveKit server in the foreground. Runs in `agenthost server`, on a loop of its own."""

import asyncio
import os
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from agenthost.cli import output
from agenthost.errors import ExitCode, LocalServerError
from agenthost.livekit_server import session_file
from agenthost.livekit_server.build import ensure_installed
from agenthost.livekit_server.progress import build_progress
from agenthost.livekit_server.run import LocalServer


async def installed() -> Path:
    """The path of the server, which is built first if there is none; the build is shown on stderr."""
    with build_progress() as report:
        return await ensure_installed(report)


async def serve(port: int) -> int:
    """Run a server on `port` of loopback until SIGINT or SIGTERM. Raises LocalServerError when it ends by itself."""
    binary = await installed()
    async with LocalServer(binary, log=output.line, port=port, log_level="info") as server:
        # under no config file's name: the folder stands for "whatever runs here"
        held = session_file.write(Path.cwd(), server.connection, os.environ)
        try:
            output.note(f"the LiveKit server answers at {server.url}; its URL and keys are in\n    {held.path}")
            output.note(f"use them: agenthost start --env-file {held.path}")
            return await _until_ended(server.wait_exited())
        finally:
            held.remove()


async def _until_ended(exited: Coroutine[Any, Any, int]) -> int:
    """Wait for Ctrl-C, SIGTERM or the server's own end, which is a failure."""
    asked = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    waiting = asyncio.create_task(asked.wait())
    exiting = asyncio.create_task(exited)
    try:
        await asyncio.wait({waiting, exiting}, return_when=asyncio.FIRST_COMPLETED)
        if exiting.done():
            raise LocalServerError(f"the LiveKit server ended by itself, exit code {exiting.result()}")
        return ExitCode.OK
    finally:
        waiting.cancel()
        exiting.cancel()
