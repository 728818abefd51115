"""`agenthost server install|run|path`: the LiveKit server for work on this machine.

`dev` starts one by itself; these commands are for those who want it prepared (CI, images) or running on its own.
"""

import argparse
import os
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
    import asyncio

    from agenthost.cli.serving import installed

    output.line(str(asyncio.run(installed())))
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
    import asyncio

    from agenthost.cli.serving import serve

    return asyncio.run(serve(args.port))
