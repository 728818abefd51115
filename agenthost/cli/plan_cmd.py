"""`agenthost plan`: what a reload of the running host would do now; changes nothing."""

import argparse
from typing import Any

from agenthost.cli import output, running_host
from agenthost.errors import ExitCode


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("plan", help="show what a reload of the running host would change")
    running_host.add_arguments(parser)
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Exit 10 when there are changes, 78 when the file or the code cannot be used, 69 when no host runs the file."""
    from agenthost.cli.change_output import failure_code, show_changes, show_failure
    from agenthost.cli.change_text import count_changes
    from agenthost.control.codec import encode

    report = running_host.running_host(args.file, args.socket).plan()
    if args.format == "json":
        output.line(encode(report))
    elif report.ok:
        show_changes(report)
        output.line(count_changes(report))
    else:
        show_failure(report, "a reload would change nothing: everything would go on as it is")
    if not report.ok:
        return failure_code(report)
    return ExitCode.CHANGES if report.has_changes else ExitCode.OK
