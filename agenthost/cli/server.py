"""`agenthost server install|run|path`: the LiveKit server for work on this machine.

`dev` starts one by itself; these commands are for those who want it prepared (CI, images) or running on its own.
"""

import argparse
import asyncio
import os
import signal
from pathlib import Path
from typing import Any

from agenthost.cli import output
from agenthost.errors import ExitCode, LocalServerError, UsageError

_DESCRIPTION = """\
The LiveKit server for work on this machine. It is the one that $AGENTHOST_LIVEKIT_SERVER or PATH names,
else one that agenthost builds from source (about two minutes, once) into ~/.cache/agenthost."""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("server", help="install or run a LiveKit server on this machine")
    parser.description = _DESCRIPTION
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    actions = parser.add_subparsers(metavar="install|run|path", required=True)
    actions.add_parser("install", help="build it, unless there is one").set_defaults(func=install)
    actions.add_parser("path", help="print where it is").set_defaults(func=path)
    run_parser = actions.add_parser("run", help="run it on loopback until Ctrl-C, with fresh random keys")
    run_parser.add_argument("--port", type=int, metavar="N", help="HTTP port; default: 7880")
    run_parser.set_defaults(func=run, port=7880)


def install(args: argparse.Namespace) -> int:
    output.line(str(asyncio.run(_ensure_installed())))
    return ExitCode.OK


def path(args: argparse.Namespace) -> int:
    from agenthost.livekit_server.locate import find

    found = find(os.environ)
    if found is None:
        raise LocalServerError("no LiveKit server is installed; `agenthost server install` builds one")
    output.line(str(found))
    return ExitCode.OK


def run(args: argparse.Namespace) -> int:
    if not 0 < args.port < 65536:
        raise UsageError(f"--port {args.port} is no port number; use one from 1 to 65535")
    return asyncio.run(_run(args.port))


async def _ensure_installed() -> Path:
    from agenthost.livekit_server.build import ensure_installed
    from agenthost.livekit_server.progress import build_progress

    with build_progress() as report:
        return await ensure_installed(report)


async def _run(port: int) -> int:
    from agenthost.livekit_server import session_file
    from agenthost.livekit_server.run import LocalServer

    binary = await _ensure_installed()
    async with LocalServer(binary, log=output.line, port=port, log_level="info") as server:
        # under no config file's name: the folder stands for "whatever runs here"
        held = session_file.write(Path.cwd(), server.connection, os.environ)
        try:
            output.note(f"the LiveKit server answers at {server.url}; its URL and keys are in\n    {held.path}")
            output.note(f"use them: agenthost start --env-file {held.path}")
            return await _until_ended(server.wait_exited())
        finally:
            held.remove()


async def _until_ended(exited: Any) -> int:
    """Wait for Ctrl-C, SIGTERM or the server's own end, which is a failure."""
    asked = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    waiting = asyncio.create_task(asked.wait())
    exiting = asyncio.ensure_future(exited)
    try:
        await asyncio.wait({waiting, exiting}, return_when=asyncio.FIRST_COMPLETED)
        if exiting.done():
            raise LocalServerError(f"the LiveKit server ended by itself, exit code {exiting.result()}")
        return ExitCode.OK
    finally:
        waiting.cancel()
        exiting.cancel()
