"""The log in colours, for a person at a terminal. Runs on the host's writer thread; imports rich, so it comes late."""

import io
import re
from collections.abc import Callable
from itertools import cycle

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from agenthost.differences import Difference, Part
from agenthost.logs.banner import Banner
from agenthost.logs.layout import TRACEBACK_INDENT, Columns, Layout, banner_rows, banner_title
from agenthost.logs.lines import LogLine

_LEVEL_STYLES = {
    "TRACE": "dim",
    "DEBUG": "dim",
    "INFO": "green",
    "WARN": "yellow",
    "ERROR": "bold red",
    "CRIT": "bold white on red",
}
_CHANGE_STYLES = {  # what a reload did, as people know it from other diffs
    "added": "green",
    "removed": "red",
    "live": "cyan",
    "new registration": "yellow",
    "new generation": "yellow",
    "base": "yellow",
}
_VALUE_STYLES = {Part.WHAT: "", Part.OLD: "red", Part.NEW: "green", Part.OTHER: "dim"}
_PAIR_STYLES = {"kind": _CHANGE_STYLES, "mended": {"true": "bold green"}}
_AGENT_STYLES = ("cyan", "magenta", "blue", "green", "bright_cyan", "bright_magenta", "bright_blue", "yellow")
_TO_THE_LEFT = "\r"  # over the ^C that the terminal writes at Ctrl-C, which would shift the line
_NARROW = 30  # a message column under this many characters starts below the other columns instead
_FRAME = re.compile(r'(\s*)File "(?P<file>.*)", line (?P<line>\d+)(?:, in (?P<name>.*))?')


class ConsoleLines:
    """Renders lines to text with terminal colours. `width` is asked for each line: windows are resized.

    NO_COLOR, TERM and COLORTERM are honoured the way rich honours them.
    """

    def __init__(self, *, width: Callable[[], int]) -> None:
        self._width = width
        self._layout = Layout()
        self._styles: dict[str, str] = {}
        self._next_style = cycle(_AGENT_STYLES)
        self._console = Console(file=io.StringIO(), force_terminal=True, highlight=False, markup=False, emoji=False)

    def __call__(self, line: LogLine) -> str:
        row = self._layout.columns(line)
        head = Text.assemble(
            (row.time, "dim"),
            " ",
            (row.level, _LEVEL_STYLES[row.level.strip()]),
            " ",
            (row.agent, self._style(row.agent)),
        )
        if row.agent:
            head.append(" ")
        lines = self._hang(head, _body(row))
        for changed in row.changed:
            lines += self._hang(Text(TRACEBACK_INDENT), _changed_row(changed))
        told = [_traceback_line(text) for text in row.traceback.split("\n") if row.traceback]
        if row.framed:
            rendered = self._rendered(lines) + self._panel([*told, *map(_block_line, _lines_of(row.block))])
        else:
            rendered = self._rendered([*lines, *(Text(TRACEBACK_INDENT).append_text(text) for text in told)])
        return _TO_THE_LEFT + rendered

    def banner(self, banner: Banner) -> str:
        """Title, agents, addresses; long rows wrap below their own text."""
        lines = [Text(), Text(banner_title(banner), "bold"), Text()]
        for agent in banner.agents:
            self._layout.know(agent.id)
        for row in banner_rows(banner):
            style = self._style(row.label) if row.is_agent else "dim"
            head = Text.assemble("  ", (row.label, style), "  ", (f"{row.kind}  " if row.kind else "", "dim"))
            lines += self._hang(head, Text(row.text, "bold" if row.is_command else ""))
        return self._rendered([*lines, Text()])

    def _style(self, agent: str) -> str:
        agent = agent.strip()
        if agent and agent not in self._styles:
            self._styles[agent] = next(self._next_style)
        return self._styles.get(agent, "")

    def _hang(self, head: Text, body: Text) -> list[Text]:
        """`body` beside `head`, wrapped to the window with every line under the first."""
        width, indent = self._width(), head.cell_len
        if width - indent < _NARROW:
            wrapped = body.wrap(self._console, max(1, width - len(TRACEBACK_INDENT)))
            return [head, *(Text(TRACEBACK_INDENT).append_text(line) for line in wrapped)]
        first, *rest = body.wrap(self._console, width - indent) or [Text()]
        return [head.append_text(first), *(Text(" " * indent).append_text(line) for line in rest)]

    def _panel(self, lines: list[Text]) -> str:
        """What there is to mend, in a frame as wide as it needs, and as the window allows."""
        if not lines:
            return ""
        text = Text("\n").join(lines)
        file = self._console.file = io.StringIO()
        self._console.print(Panel(text, border_style="red", expand=False, padding=(0, 1)), width=self._width())
        return file.getvalue()

    def _rendered(self, lines: list[Text]) -> str:
        file = self._console.file = io.StringIO()
        for line in lines:
            line.rstrip()
            self._console.print(line, soft_wrap=True)
        return file.getvalue()


def _body(row: Columns) -> Text:
    body = Text()
    if row.source:
        body.append(f"{row.source}: ", "dim")
    body.append(row.message, "red" if row.level.strip() in ("ERROR", "CRIT") else "")
    if row.pairs:
        body.append(" ")
    for key, value in row.pairs:
        body.append(f" {key}=", "dim").append(value, _PAIR_STYLES.get(key, {}).get(value.strip('"'), "dim"))
    return body


def _changed_row(row: Difference) -> Text:
    return Text.assemble(*((text, _VALUE_STYLES[part]) for text, part in row.parts))


def _lines_of(block: str) -> list[str]:
    return block.rstrip().split("\n") if block else []


def _block_line(text: str) -> Text:
    """A line of findings: where and what is bold, the carets are red."""
    if "│" in text:
        return Text(text, "red" if "^" in text else "")
    return Text(text, "bold")


def _traceback_line(text: str) -> Text:
    """One line of a traceback."""
    line = Text()
    if frame := _FRAME.fullmatch(text):
        name = f" in {frame['name']}" if frame["name"] else ""
        return line.append(frame[1]).append(f"{frame['file']}:{frame['line']}", "cyan").append(name, "dim")
    if text.startswith((" ", "Traceback ")):
        return line.append(text, "" if text.strip(" ~^") else "red")
    return line.append(text, "bold red")
