"""`agenthost status`: what a running host does now."""

import argparse
from typing import Any

from agenthost.cli import output, running_host
from agenthost.errors import ExitCode


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("status", help="what the running host does: agents, jobs, load, last reload")
    running_host.add_arguments(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Exit 69 when no host runs the file."""
    import sys
    import time

    from agenthost.control.codec import encode

    status = running_host.running_host(args.file, args.socket).status()
    if args.format == "json":
        output.line(encode(status))
        return ExitCode.OK
    from rich.console import Console

    from agenthost.cli.status_text import render_status

    console = Console(file=sys.stdout, highlight=False)
    console.print(render_status(status, now=time.time(), width=console.width))
    return ExitCode.OK
