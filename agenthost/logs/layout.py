"""The columns in which people read the log, as plain text: what stands where, without colours.

Runs on the host's writer thread. `PlainLines` is the whole rendering where there is no terminal (a file, a pipe, a
CI job); console.py adds colours and wrapping to the same columns.
"""

import re
import time
from collections.abc import Iterator

from msgspec import Struct

from agenthost.differences import Difference
from agenthost.logs.banner import Banner
from agenthost.logs.levels import level_name
from agenthost.logs.lines import LogLine
from agenthost.texts import printable, printable_line, to_json

TRACEBACK_INDENT = "    "
_AGENT_WIDTH = 16  # longer ids are cut: the message needs the room more
_SHORT = {"WARNING": "WARN", "CRITICAL": "CRIT"}
_BLOCK = "findings"  # the fields that are shown below the line instead of in it
_CHANGED = "changed"
_RELOADS = "agenthost.reload"
_UNSEEN_LOGGERS = ("agenthost", "root", "stdout", "stderr")
_BARE = re.compile(r"""[^\s"'=]+""")


class Columns(Struct, frozen=True, kw_only=True):
    """One line of the log in the order of its columns; `source` is "" unless a logger of user code spoke.

    `block` is a text of several lines that the event carries: findings with their snippets. `changed` has a row for
    each thing that a reload made another. `framed`: somebody has just saved a file, and this is what is wrong with it.
    """

    time: str
    level: str
    agent: str
    source: str
    message: str
    pairs: tuple[tuple[str, str], ...]
    traceback: str
    block: str = ""
    changed: tuple[Difference, ...] = ()
    framed: bool = False


class Layout:
    """Makes columns; the one for agents is as wide as the longest id so far (at most 16)."""

    def __init__(self) -> None:
        self.agent_width = 0

    def know(self, agent: str) -> None:
        """Make room for this agent id."""
        self.agent_width = max(self.agent_width, min(len(agent), _AGENT_WIDTH))

    def columns(self, line: LogLine) -> Columns:
        agent = printable_line(str(line.fields.get("agent", "")))
        self.know(agent)
        if len(agent) > _AGENT_WIDTH:
            agent = agent[: _AGENT_WIDTH - 1] + "…"
        level = level_name(line.level)
        hidden = line.logger.partition(".")[0] in _UNSEEN_LOGGERS
        return Columns(
            time=time.strftime("%H:%M:%S", time.localtime(line.created)) + f".{int(line.created % 1 * 1000):03d}",
            level=_SHORT.get(level, level).ljust(5),
            agent=agent.ljust(self.agent_width),
            source="" if hidden else printable_line(line.logger),
            message=printable(line.message),
            pairs=tuple(_pairs(line)),
            traceback=printable(line.traceback),
            block=printable(str(line.fields.get(_BLOCK, ""))),
            changed=tuple(_changed(line)),
            framed=line.logger == _RELOADS or _BLOCK in line.fields,
        )


class PlainLines:
    """One record a line, never wrapped, so that grep finds it; more lines of a message or traceback are indented."""

    def __init__(self) -> None:
        self._layout = Layout()

    def __call__(self, line: LogLine) -> str:
        row = self._layout.columns(line)
        source = f"{row.source}: " if row.source else ""
        pairs = "".join(f" {key}={value}" for key, value in row.pairs)
        head, *rest = f"{source}{row.message}".split("\n")
        lines = [f"{row.time} {row.level} {row.agent}{' ' if row.agent else ''}{head}{pairs and f' {pairs}'}"]
        lines += [TRACEBACK_INDENT + text for text in rest]
        lines += [TRACEBACK_INDENT + "".join(text for text, _ in changed.parts) for changed in row.changed]
        lines += [TRACEBACK_INDENT + text for text in row.traceback.split("\n") if row.traceback]
        lines += [TRACEBACK_INDENT + text for text in row.block.split("\n") if row.block]
        return "".join(f"{text.rstrip()}\n" for text in lines)

    def banner(self, banner: Banner) -> str:
        for agent in banner.agents:
            self._layout.know(agent.id)
        rows = [
            f"  {row.label}  {row.kind}{'  ' if row.kind else ''}{row.text}".rstrip() for row in banner_rows(banner)
        ]
        return "\n".join(["", banner_title(banner), "", *rows, ""]) + "\n"


class BannerRow(Struct, frozen=True, kw_only=True):
    """One row of the banner; label and kind are padded. `is_agent`: the label is an agent's id."""

    label: str
    kind: str
    text: str
    is_agent: bool = False
    is_command: bool = False


def banner_title(banner: Banner) -> str:
    return f"agenthost {banner.version} · {banner.command} · {printable_line(banner.file)}"


def banner_rows(banner: Banner) -> list[BannerRow]:
    """The rows below the title: agents with their way of being called, then where things listen."""
    width = max(len(label) for label in ("LiveKit", *(agent.id for agent in banner.agents)))
    kind = max((len(agent.type.value) for agent in banner.agents), default=0)
    rows = []
    for agent in banner.agents:
        name = f" (agent_name: {agent.agent_name})" if agent.agent_name not in ("", agent.id) else ""
        label, type_ = printable_line(agent.id.ljust(width)), agent.type.value.ljust(kind)
        text = printable_line(agent.dispatch + name)
        rows.append(BannerRow(label=label, kind=type_, text=text, is_agent=True))
        if agent.dispatch_command:
            blank = BannerRow(
                label=" " * width, kind=" " * kind, text=printable_line(agent.dispatch_command), is_command=True
            )
            rows.append(blank)
    rows.append(BannerRow(label="".ljust(width), kind="", text=""))
    rows += [BannerRow(label=label.ljust(width), kind="", text=printable_line(text)) for label, text in _facts(banner)]
    return rows


def _facts(banner: Banner) -> Iterator[tuple[str, str]]:
    local = " (started by this command, ends with it)" if banner.local_server else ""
    yield "LiveKit", banner.livekit_url + local
    yield "HTTP", f"http://{banner.http}" if banner.http else "none"
    count = banner.idle_processes
    yield "idle", f"{count} process{'' if count == 1 else 'es'} kept ready" if count else "none, each job forks its own"
    yield "stop", "Ctrl-C drains: running jobs end by themselves; again: ends them"


def _changed(line: LogLine) -> Iterator[Difference]:
    """Of a reload; somebody else's field of that name is a field like any other."""
    rows = line.fields.get(_CHANGED)
    if not isinstance(rows, list) or not all(isinstance(row, dict) and "what" in row for row in rows):
        return
    for row in rows:
        told = {name: printable_line(str(row.get(name, ""))) for name in ("old", "new", "note")}
        yield Difference(path=printable_line(str(row["what"])), **told)


def _pairs(line: LogLine) -> Iterator[tuple[str, str]]:
    """What the event says first, whose it is last; the pid only where there is no job yet to tell processes apart."""
    last = ("room", "job_id") if "job_id" in line.fields else ("room", "pid")
    for key, value in line.fields.items():
        below = key == _BLOCK or (key == _CHANGED and any(_changed(line)))
        if key not in ("agent", "room", "job_id", "pid") and not below:
            yield printable_line(key), _value(value)
    for key in last:
        if key in line.fields:
            yield key, _value(line.fields[key])


def _value(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 1e4 else str(value)
    if isinstance(value, str):
        return _quoted(printable(value))
    return to_json(value, spaced=True)


def _quoted(text: str) -> str:
    """Bare where it is one word, else in the quotes that need the fewest escapes."""
    if _BARE.fullmatch(text):
        return text
    if '"' in text and not set(text) & set("'\\\n"):
        return f"'{text}'"
    return to_json(text)
