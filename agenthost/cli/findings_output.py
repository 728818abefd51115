"""Shows findings: in colour on a terminal, as plain text elsewhere. Shared by all commands that read a file."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from agenthost.config.findings import ConfigError
from agenthost.config.findings_text import Line, plain, render

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
    show(render(error.findings, error.source, file=error.file), sys.stderr)


def show(lines: Sequence[Line], stream: TextIO) -> None:
    """Write rendered lines to a stream, coloured if it is a terminal that wants colours."""
    if not stream.isatty():
        stream.write(plain(lines) + "\n")
        stream.flush()
        return
    from rich.console import Console

    console = Console(file=stream, highlight=False, soft_wrap=True)
    for line in lines:
        console.print(_coloured(line))


def _coloured(line: Line) -> "Text":
    from rich.text import Text

    return Text.assemble(*((segment.text, _STYLES.get(segment.style, "")) for segment in line))
