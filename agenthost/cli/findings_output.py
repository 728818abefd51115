"""Shows findings: in colour on a terminal, as plain text elsewhere. Shared by all commands that read a file."""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from agenthost.config.findings import ConfigError, Finding
from agenthost.config.findings_text import MAX_WIDTH, Line, plain, render
from agenthost.texts import printable

if TYPE_CHECKING:
    from rich.text import Text

_STYLES = {
    "error": "bold red",
    "warning": "bold yellow",
    "related": "cyan",
    "place": "bold",
    "strong": "bold",
    "dim": "dim",
    "ok": "green",
}


def show_config_error(error: ConfigError) -> None:
    """All findings of a configuration that cannot be used, on stderr."""
    show_findings(error.findings, error.source, file=error.file, stream=sys.stderr)


def show_findings(findings: Sequence[Finding], source: str, *, file: str, stream: TextIO) -> None:
    """Findings with their lines of `source`, the text of `file` without secrets, as wide as the stream."""
    show(render(findings, source, file=file, width=_columns(stream)), stream)


def _columns(stream: TextIO) -> int:
    """How wide findings may be on a stream: as wide as the terminal, if it is one, and not too wide to be read."""
    if not stream.isatty():
        return MAX_WIDTH
    try:
        wide = os.get_terminal_size(stream.fileno()).columns
    except OSError:
        return MAX_WIDTH
    return max(min(wide, MAX_WIDTH), 60) if wide else MAX_WIDTH


def show(lines: Sequence[Line], stream: TextIO) -> None:
    """Write rendered lines to a stream, coloured if it is a terminal that wants colours."""
    if not stream.isatty():
        stream.write(printable(plain(lines)) + "\n")
        stream.flush()
        return
    from rich.console import Console

    console = Console(file=stream, highlight=False, soft_wrap=True)
    for line in lines:
        console.print(_coloured(line))


def _coloured(line: Line) -> "Text":
    from rich.text import Text

    return Text.assemble(*((printable(segment.text), _STYLES.get(segment.style, "")) for segment in line))
