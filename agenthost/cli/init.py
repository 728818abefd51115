"""`agenthost init`: write a first file, with a runnable agent or from an existing livekit-agents script."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agenthost.cli import output
from agenthost.errors import ExitCode

if TYPE_CHECKING:
    from agenthost.scaffold.files import Written


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("init", help="write a first file and an agent")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(), metavar="FOLDER", help="default: this one")
    parser.add_argument(
        "--from", type=Path, dest="script", metavar="SCRIPT", help="make the file from a livekit-agents script"
    )
    parser.add_argument("--force", action="store_true", help="write over an agenthost.yaml that is already here")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    """Writes agenthost.yaml, the code it names (not with --from), AGENTS.md and the schema for editors."""
    from agenthost.scaffold.files import files_from_script, starter_files, write_files

    notes: tuple[str, ...] = ()
    if args.script is None:
        files = starter_files()
    else:
        files, translation = files_from_script(args.script, args.folder)
        notes = translation.notes
    written = write_files(files, args.folder, force=args.force)
    _show(written, args.folder, notes)
    _show_findings(args.folder / files[0].name)
    return ExitCode.OK


def _show(written: "tuple[Written, ...]", folder: Path, notes: tuple[str, ...]) -> None:
    width = max(len(str(folder / one.file.name)) for one in written)
    for one in written:
        verb, about = ("kept ", "it was here before") if one.kept else ("wrote", one.file.about)
        output.line(f"{verb}  {folder / one.file.name!s:<{width}}  {about}")
    if notes:
        output.line("\nnot taken over:")
        for note in notes:
            output.line(f"  {note}")
    prefix = "" if folder == Path() else f"cd {folder} && "
    output.line(f"\nnext: {prefix}agenthost dev")


def _show_findings(file: Path) -> None:
    """What `validate` would say about the new file: options may be out of our bounds, or name code that is gone."""
    from agenthost.cli.findings_output import show_findings
    from agenthost.config.loading import Options, examine

    examination = examine(file, Options(environ=os.environ, command="init", secrets=False))
    if examination.findings:
        show_findings(examination.findings, examination.source, file=str(file), stream=sys.stderr)
