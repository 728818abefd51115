"""`agenthost status`: what a running host does now."""

import argparse
from typing import TYPE_CHECKING, Any

from agenthost.cli import output, running_host
from agenthost.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from agenthost.control.client import ControlClient

_WATCH_SECONDS = 1.0


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("status", help="what the running host does: agents, jobs, load, last reload")
    running_host.add_arguments(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    parser.add_argument("--watch", action="store_true", help="show it again every second, until Ctrl-C")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Exit 69 when no host runs the file, or when it ends while it is watched."""
    import sys

    host = running_host.running_host(args.file, args.socket)
    if args.watch:
        return _watch(host, args.format)
    if args.format == "json":
        _write_json(host)
        return ExitCode.OK
    from rich.console import Console

    console = Console(file=sys.stdout, highlight=False)
    console.print(_rendered(host, console))
    return ExitCode.OK


def _watch(host: "ControlClient", form: str) -> int:
    """A screen that renews itself; as JSON one line a second."""
    import time

    try:
        if form == "json":
            while True:
                _write_json(host)
                time.sleep(_WATCH_SECONDS)
        _watch_screen(host)
    except KeyboardInterrupt:
        pass  # the way to end it
    return ExitCode.OK


def _watch_screen(host: "ControlClient") -> None:
    import sys
    import time

    from rich.console import Console
    from rich.live import Live

    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        raise UsageError("--watch draws on a terminal, and stdout is none; use --format json with it")
    with Live(_rendered(host, console), console=console, auto_refresh=False, vertical_overflow="visible") as live:
        while True:
            time.sleep(_WATCH_SECONDS)
            live.update(_rendered(host, console), refresh=True)


def _write_json(host: "ControlClient") -> None:
    from agenthost.control.codec import encode

    output.line(encode(host.status()))


def _rendered(host: "ControlClient", console: "Console") -> Any:
    import time

    from agenthost.cli.status_text import render_status

    return render_status(host.status(), now=time.time(), width=console.width)
