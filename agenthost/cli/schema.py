"""`agenthost schema`: print the JSON Schema of the agenthost file, for editors."""

import argparse
from typing import Any

from agenthost.cli import output
from agenthost.errors import ExitCode


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("schema", help="print the JSON Schema of the file, for editors")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    from agenthost.config.editor_schema import editor_schema_text

    output.line(editor_schema_text().rstrip("\n"))
    return ExitCode.OK
