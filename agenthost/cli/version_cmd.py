"""`agenthost version`: what is installed, in the form a bug report wants."""

import argparse
from typing import Any

from agenthost.cli import output
from agenthost.errors import ExitCode
from agenthost.version import __version__


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("version", help="print the version of agenthost and of what it stands on")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    import json
    import platform
    from importlib import metadata

    versions = {
        "agenthost": __version__,
        "python": platform.python_version(),
        "livekit": metadata.version("livekit"),
        "livekit-api": metadata.version("livekit-api"),
        "platform": f"{platform.system()} {platform.machine()}",
    }
    if args.format == "json":
        output.line(json.dumps(versions))
    else:
        for name, version in versions.items():
            output.line(f"{name:<12} {version}")
    return ExitCode.OK
