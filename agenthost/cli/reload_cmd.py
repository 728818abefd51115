"""`agenthost reload`: have the running host take over its file and code as they are now, and wait for the result."""

import argparse
from typing import Any

from agenthost.cli import output, running_host
from agenthost.errors import ExitCode


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("reload", help="have the running host take over its file and code; no call ends")
    running_host.add_arguments(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Exit 0 when all of it was done, 78 when the file or the code cannot be used, 1 when it failed or was refused
    otherwise, or something of it could not be done, 69 when no host runs the file."""
    from agenthost.cli.change_output import failure_code, show_changes, show_failure
    from agenthost.cli.change_text import count_changes
    from agenthost.control.codec import encode

    report = running_host.running_host(args.file, args.socket).reload()
    if args.format == "json":
        output.line(encode(report))
    elif report.ok:
        show_changes(report)
        output.line(f"reloaded in {report.seconds:.2f} s: {count_changes(report)}")
        for key, why in report.undone.items():
            output.note(f"{key} stays as it was: {why}")
    else:
        show_failure(report, "nothing was changed: everything goes on as it was")
    return ExitCode.OK if report.ok and not report.undone else failure_code(report)
