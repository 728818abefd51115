"""`agenthost config show`: the configuration in force, with every default and, if wanted, every value's origin."""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agenthost.cli import output
from agenthost.errors import ExitCode

if TYPE_CHECKING:
    from agenthost.config.findings_text import Line
    from agenthost.config.loading import Examination
    from agenthost.config.show import Row


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("config", help="show the configuration that is in force")
    commands = parser.add_subparsers(metavar="show", required=True)
    show = commands.add_parser("show", help="print what the file comes to, secrets as fingerprints")
    show.add_argument("file", nargs="?", metavar="FILE", help="default: $AGENTHOST_CONFIG, else ./agenthost.yaml")
    show.add_argument("--resolved", action="store_true", help="with everything that is a default")
    show.add_argument("--origin", action="store_true", help="with the place each value came from")
    show.add_argument("--dev", action="store_true", help="as `dev` sees it, not as `start` does")
    show.add_argument("--profile", metavar="NAME", help="merge this profile of the file into it")
    show.add_argument("--set", action="append", default=[], dest="overrides", metavar="PATH=VALUE", help="set a key")
    show.add_argument("--env-file", type=Path, metavar="FILE", help="read environment variables from FILE")
    show.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    show.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    from agenthost.config.show import rows, values

    examination = _examine(args)
    if examination.resolved is None:
        from agenthost.config.findings import ConfigError

        raise ConfigError(examination.findings, examination.source, str(examination.file))
    file = str(examination.file)
    if args.format == "json":
        data = values(examination.resolved, file=file, defaults=args.resolved)
        output.line(json.dumps(data, indent=2, ensure_ascii=False))
        return ExitCode.OK
    from agenthost.cli.findings_output import show

    show(_lines(rows(examination.resolved, file=file, defaults=args.resolved), origin=args.origin), sys.stdout)
    return ExitCode.OK


def _examine(args: argparse.Namespace) -> "Examination":
    """Read leniently: what is to be seen does not need its secrets."""
    from agenthost.config.loading import Options, examine, find_file

    options = Options(
        environ=os.environ,
        command="dev" if args.dev else "start",
        profile=args.profile,
        overrides=args.overrides,
        env_file=args.env_file,
        secrets=False,
    )
    return examine(find_file(args.file, os.environ), options)


def _lines(shown: "tuple[Row, ...]", *, origin: bool) -> "list[Line]":
    from agenthost.config.findings_text import Segment

    width = min(max((len(row.text) for row in shown if row.origin), default=0), 60) + 2
    lines: list[Line] = []
    for row in shown:
        comment = f"{' ' * max(width - len(row.text), 2)}# {row.origin}" if origin and row.origin else ""
        lines.append((Segment(text=row.text), Segment(text=comment, style="dim")))
    return lines
