"""`agenthost stop`: end the running host as SIGTERM does, and wait until it has ended."""

import argparse
import os
from typing import Any

from agenthost.cli import output, running_host
from agenthost.errors import ExitCode


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("stop", help="end the running host when its jobs have ended, and wait for that")
    running_host.add_arguments(parser)
    parser.add_argument("--now", action="store_true", help="end the jobs, too, within `limits.shutdown`")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Exit 0 when the host has ended; Ctrl-C leaves it to drain. 69 when no host runs the file."""
    from agenthost.control.client import HostEnded

    host = running_host.running_host(args.file, args.socket)
    pid = host.status().pid
    try:
        jobs = host.stop(now=args.now).jobs
    except HostEnded:
        jobs = 0  # it ended sooner than it could say so
    if jobs and not args.now:
        count = f"{jobs} job{'' if jobs == 1 else 's'}"
        output.note(f"the host (pid {pid}) drains: it ends after {count}; `agenthost stop --now` ends them")
    _wait_ended(pid)
    output.line("the host has ended")
    return ExitCode.OK


def _wait_ended(pid: int) -> None:
    """Wait for the end of a process that is not ours. One that nobody has reaped yet has ended."""
    if not hasattr(os, "pidfd_open"):  # macOS
        import psutil

        try:
            psutil.Process(pid).wait()
        except psutil.NoSuchProcess:
            pass  # that is what was waited for
        return
    import select

    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        select.select([descriptor], [], [])
    finally:
        os.close(descriptor)
