"""`agenthost validate`: read and check a file exactly as `start` does, without starting anything.

Instead of a file it takes code, as `dev` does: then it is checked as `dev` would read the file that nobody wrote.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agenthost.cli import output
from agenthost.errors import ExitCode

if TYPE_CHECKING:
    from agenthost.config.loading import Examination, Options
    from agenthost.config.model import Config


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("validate", help="check the file without running anything")
    named = "the file, or module:attribute or script.py; default: $AGENTHOST_CONFIG, else ./agenthost.yaml"
    parser.add_argument("file", nargs="?", metavar="FILE", help=named)
    parser.add_argument("--format", choices=("text", "json", "github"), default="text", help="default: text")
    parser.add_argument("--profile", metavar="NAME", help="merge this profile of the file into it")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="PATH=VALUE", help="set a key")
    parser.add_argument("--env-file", type=Path, metavar="FILE", help="read environment variables from FILE")
    parser.add_argument("--no-secrets", action="store_true", help="pass over variables and files that are not here")
    parser.add_argument("--import", action="store_true", dest="imports", help="really import the code, in a process")
    parser.add_argument("--connect", action="store_true", help="ask the LiveKit server whether the credentials work")
    parser.add_argument("--fix", action="store_true", help="correct what can be corrected, and check again")
    parser.add_argument("--deny-warnings", action="store_true", help="exit 1 if there are warnings")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    from agenthost.config.loading import Options
    from agenthost.config.named_code import names_code

    is_code = args.file is not None and names_code(args.file)
    options = Options(
        environ=os.environ,
        # asking a server takes one, as `start` does
        command="start" if args.connect else "dev" if is_code else "validate",
        profile=args.profile,
        overrides=args.overrides,
        env_file=args.env_file,
        secrets=not args.no_secrets,
    )
    examination, fixed = _examine(args.file, options, fix=args.fix)
    config = examination.config  # whether the imports work does not matter to the server
    if args.imports:
        examination = _import(examination)
    if args.connect and config is not None:
        examination = _connect(examination, config)
    _show(examination, args.format, fixed)
    return _exit_code(examination, deny_warnings=args.deny_warnings)


def _examine(named: str | None, options: "Options", *, fix: bool) -> "tuple[Examination, int]":
    """What there is to say about the file, and how much of it was corrected before."""
    from agenthost.config.findings import ConfigError
    from agenthost.config.fixing import fix_file
    from agenthost.config.loading import FILE_NAMES, Examination, Stage, examine, examine_code, find_file
    from agenthost.config.named_code import names_code

    if named is not None and names_code(named):
        return _called(examine_code(named, options), named), 0
    try:
        file = find_file(named, os.environ)
    except ConfigError as error:  # shown in the chosen format, like every other finding
        missing = Examination(
            file=Path(FILE_NAMES[0]), source="", findings=error.findings, stages={Stage.SYNTAX: False}
        )
        return missing, 0
    fixed = fix_file(file, options) if fix else 0
    return examine(file, options), fixed


def _called(examination: "Examination", code: str) -> "Examination":
    """With the name of the code where it is about a file that is not there."""
    from msgspec.structs import replace

    unwritten = str(examination.file)
    found = (replace(each, file=code) if each.file == unwritten else each for each in examination.findings)
    return replace(examination, file=Path(code), findings=tuple(found))


def _import(examination: "Examination") -> "Examination":
    """What importing the code adds; the user's own tracebacks go to stderr as they are."""
    from agenthost.cli.import_check import check_by_importing
    from agenthost.config.loading import Stage, with_findings

    if examination.config is None or examination.resolved is None:
        return examination
    imported = check_by_importing(examination.config, examination.resolved, str(examination.file))
    for traceback in imported.tracebacks:
        output.note(traceback.rstrip("\n") + "\n")
    return with_findings(examination, Stage.IMPORTS, imported.findings)


def _connect(examination: "Examination", config: "Config") -> "Examination":
    from agenthost.cli.connect_check import check_server
    from agenthost.config.loading import Stage, with_findings

    return with_findings(examination, Stage.SERVER, check_server(config, str(examination.file)))


def _show(examination: "Examination", form: str, fixed: int) -> None:
    from agenthost.config.findings_text import as_github, as_json

    if form == "json":
        stages = _stages(examination)
        report = {
            "file": str(examination.file),
            "ok": _exit_code(examination, deny_warnings=False) is ExitCode.OK,
            "fixed": fixed,
            "stages": {name: _WORDS[passed] for name, passed in stages.items()},
            "findings": [as_json(finding) for finding in examination.findings],
        }
        output.line(json.dumps(report, indent=2, ensure_ascii=False))
    elif form == "github":
        for finding in examination.findings:
            output.line(as_github(finding))
    else:
        _show_text(examination, fixed)


_WORDS = {True: "passed", False: "failed", None: "not checked"}


def _show_text(examination: "Examination", fixed: int) -> None:
    from agenthost.cli.findings_output import show, show_findings
    from agenthost.config.findings_text import Segment, render_stages

    if fixed:
        show([(Segment(text=f"corrected {fixed} in {examination.file}", style="ok"),), ()], sys.stdout)
    if examination.findings:
        show_findings(examination.findings, examination.source, file=str(examination.file), stream=sys.stdout)
    else:
        show([(Segment(text=f"{examination.file} is valid", style="ok"),)], sys.stdout)
    show([render_stages(_stages(examination))], sys.stdout)


def _stages(examination: "Examination") -> dict[str, bool | None]:
    from agenthost.config.loading import Stage

    return {stage.value: examination.stages.get(stage) for stage in Stage}


def _exit_code(examination: "Examination", *, deny_warnings: bool) -> ExitCode:
    """What is wrong with the file or the code comes first: that alone cannot get better by itself."""
    errors = {finding.code for finding in examination.findings if finding.severity.value == "error"}
    if errors - {"AH401", "AH402"}:
        return ExitCode.CONFIG
    if errors:
        return ExitCode.REFUSED if "AH402" in errors else ExitCode.UNREACHABLE
    return ExitCode.FAILURE if deny_warnings and examination.findings else ExitCode.OK
