"""`agenthost test`: run the examples of a file's `tests:` through its rules, without a server and without user code."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agenthost.errors import EnvironmentRefused, ExitCode, UsageError

if TYPE_CHECKING:
    from agenthost.config.loading import Loaded
    from agenthost.config.resolve import Resolved
    from agenthost.examples import ExamplesReport


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("test", help="run the tests of the file through its rules")
    parser.add_argument("file", nargs="?", metavar="FILE", help="default: $AGENTHOST_CONFIG, else ./agenthost.yaml")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    parser.add_argument("--junit", type=Path, metavar="XML", help="also write the results as JUnit XML")
    parser.add_argument("--profile", metavar="NAME", help="merge this profile of the file into it")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="PATH=VALUE", help="set a key")
    parser.add_argument("--env-file", type=Path, metavar="FILE", help="read environment variables from FILE")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Exit 1 when an example came out otherwise than expected; 78 when the file itself has errors."""
    from datetime import UTC, datetime

    from agenthost.examples import run_examples

    loaded, shown = _load(args)
    report = run_examples(loaded.config, datetime.now(UTC))
    if args.junit is not None:
        _write_junit(args.junit, report, shown)
    _show(loaded, report, args.format, shown)
    return ExitCode.OK if report.passed else ExitCode.FAILURE


def _load(args: argparse.Namespace) -> "tuple[Loaded, Path]":
    """The file, and the name it was given. Tests need no secrets, so a CI job without them can run them."""
    from agenthost.config.loading import Options, examine, find_file, loaded

    file = find_file(args.file, os.environ)
    options = Options(
        environ=os.environ,
        command="test",
        profile=args.profile,
        overrides=args.overrides,
        env_file=args.env_file,
        secrets=False,
    )
    examination = examine(file, options)
    if examination.resolved is not None:
        _refuse_unknown_values(examination.resolved, file)
    return loaded(examination), file


def _refuse_unknown_values(resolved: "Resolved", file: Path) -> None:
    """What a rule or a test says must be known here: without it the results would be about another file."""
    from agenthost.config.nodes import walk

    sections = [agent.entries[key] for agent in resolved.agents.values() for key in ("requests", "permissions")]
    sections += [resolved.host.entries[key] for key in ("tests", "timezone") if key in resolved.host.entries]
    for section in sections:
        for _, node in walk(section):
            if node.opaque:
                names = " and ".join(node.references)
                raise UsageError(f"{file}:{node.span.line}: rules and tests need {names}, which is not set here")


def _write_junit(file: Path, report: "ExamplesReport", shown: Path) -> None:
    from agenthost.cli.example_report import as_junit

    try:
        file.write_bytes(as_junit(report, str(shown)))
    except OSError as error:
        raise EnvironmentRefused(f"cannot write {file}: {(error.strerror or str(error)).lower()}") from None


def _show(loaded: "Loaded", report: "ExamplesReport", form: str, shown: Path) -> None:
    import json
    import sys

    from agenthost.cli import output
    from agenthost.cli.example_report import as_json, render_report
    from agenthost.cli.findings_output import show, show_findings

    if loaded.warnings:
        show_findings(loaded.warnings, loaded.source, file=str(shown), stream=sys.stderr)
    if form == "json":
        output.line(json.dumps(as_json(report, str(shown)), indent=2, ensure_ascii=False))
    else:
        handlers = any(agent.requests.handler for agent in loaded.config.agents)
        show(render_report(report, handlers=handlers), sys.stdout)
