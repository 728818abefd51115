"""The log in colours: wrapping at any width, tracebacks, NO_COLOR."""

import logging
import re

import pytest
from msgspec.structs import replace

from agenthost.jobs import JobType
from agenthost.logs.banner import Banner, BannerAgent
from agenthost.logs.console import ConsoleLines
from agenthost.logs.lines import LogLine
from agenthost.texts import printable

LONG = "a rather long message that does not fit into one row of any window that people use " * 2


@pytest.fixture(autouse=True)
def colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal with colours, whatever the tests run in."""
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")


def line(message: str, traceback: str = "", level: int = logging.INFO, **fields: object) -> LogLine:
    return LogLine(created=0.5, level=level, logger="agenthost.x", message=message, fields=fields, traceback=traceback)


def rows(text: str) -> list[str]:
    return printable(text.replace("\r", "")).rstrip("\n").split("\n")


@pytest.mark.parametrize("width", [80, 120])
def test_long_line_wraps_below_its_own_text(width: int) -> None:
    """The columns at the left stay free, so that times and levels can be followed downwards."""
    first, *more = rows(ConsoleLines(width=lambda: width)(line(LONG, agent="support", room="r")))
    indent = first.index("a rather")
    assert len(more) >= 1
    assert all(len(row) <= width for row in (first, *more))
    assert all(row[:indent].isspace() and not row[indent].isspace() for row in more)
    assert " ".join([first[indent:], *(row.strip() for row in more)]).split() == [*LONG.split(), "room=r"]


def test_narrow_window_puts_the_text_below() -> None:
    """A split pane of 40 columns would leave the message a dozen: it gets the next rows."""
    first, *more = rows(ConsoleLines(width=lambda: 40)(line(LONG, agent="support")))
    assert first.endswith("support")
    assert all(row.startswith("    a" if row is more[0] else "    ") and len(row) <= 40 for row in more)


def test_width_is_asked_again_for_each_line() -> None:
    """Windows are resized while a host runs."""
    widths = [60, 200]
    console = ConsoleLines(width=lambda: widths[-1])
    wide = rows(console(line("x " * 60)))
    widths.pop()
    assert len(wide) < len(rows(console(line("x " * 60))))


def test_lines_of_a_message_hang_under_the_first() -> None:
    """What a job prints in two lines stays two lines of one record."""
    first, second = rows(ConsoleLines(width=lambda: 80)(line("one\ntwo")))
    assert second.index("two") == first.index("one")


def test_each_agent_has_its_own_colour() -> None:
    """The same one for all lines of an agent, another one for the next."""
    console = ConsoleLines(width=lambda: 80)
    codes = []
    for agent in ("alpha", "omega", "alpha"):
        found = re.search(rf"\x1b\[([\d;]+)m{agent}", console(line("x", agent=agent)))
        assert found is not None
        codes.append(found[1])
    assert codes[0] == codes[2] != codes[1]


def test_traceback_is_not_wrapped_and_names_places_shortly() -> None:
    """`file:line` can be clicked or copied; source lines stay whole."""
    source = "    result = " + "call" * 40
    text = f'Traceback (most recent call last):\n  File "/app/agent.py", line 3, in run\n{source}\nValueError: boom'
    shown = rows(ConsoleLines(width=lambda: 80)(line("job failed", traceback=text)))[1:]
    assert shown == [
        "    Traceback (most recent call last):",
        "      /app/agent.py:3 in run",
        f"    {source}",
        "    ValueError: boom",
    ]


def test_what_looks_like_markup_is_text() -> None:
    """User text with brackets or emoji names is shown as it is."""
    assert rows(ConsoleLines(width=lambda: 80)(line("[bold]x[/bold] :smile: [/]")))[0].endswith(
        "[bold]x[/bold] :smile: [/]"
    )


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR leaves no colour code, only weight."""
    coloured = ConsoleLines(width=lambda: 80)(line("x", level=logging.ERROR, agent="a"))
    monkeypatch.setenv("NO_COLOR", "1")
    without = ConsoleLines(width=lambda: 80)(line("x", level=logging.ERROR, agent="a"))
    assert re.search(r"\x1b\[[\d;]*3[1-7]m", coloured)
    assert set(re.findall(r"\x1b\[([\d;]+)m", without)) <= {"0", "1", "2"}


def test_banner_wraps_and_ends_with_a_free_row() -> None:
    """At 60 columns the longest row continues below its own text."""
    agents = (BannerAgent(id="support", agent_name="support", type=JobType.ROOM),)
    banner = Banner(
        version="1",
        command="dev",
        file="f.yaml",
        agents=agents,
        livekit_url="ws://127.0.0.1:7880",
        local_server=False,
        http=None,
        idle_processes=0,
    )
    text = ConsoleLines(width=lambda: 60).banner(banner)
    shown = printable(text).split("\n")
    assert all(len(row) <= 60 for row in shown)
    assert "agenthost dispatch support --room my-room" in text
    assert shown[-2:] == ["", ""]


def test_line_begins_at_the_left_of_the_window() -> None:
    """Where the terminal has just written ^C."""
    assert ConsoleLines(width=lambda: 80)(line("draining")).startswith("\r")


@pytest.mark.parametrize("width", [80, 120])
def test_users_traceback_stands_in_a_frame_after_an_edit(width: int) -> None:
    """What a failed reload shows; other tracebacks are plain, to be copied."""
    traceback = 'Traceback (most recent call last):\n  File "/app/voice.py", line 7, in prewarm\nKeyError: 1'
    failed = replace(line("reload failed", traceback=traceback), logger="agenthost.reload")
    _, top, *framed, bottom = rows(ConsoleLines(width=lambda: width)(failed))
    assert (top[0], bottom[0]) == ("╭", "╰")
    assert [row.strip("│ ") for row in framed] == [
        "Traceback (most recent call last):",
        "/app/voice.py:7 in prewarm",
        "KeyError: 1",
    ]
    assert "│" not in ConsoleLines(width=lambda: width)(line("job failed", traceback=traceback))


@pytest.mark.parametrize("width", [80, 120])
def test_findings_stand_in_a_frame_below_the_line(width: int) -> None:
    """What is to be mended catches the eye, and is not one more pair of the line."""
    findings = "agenthost.yaml:8:16  error[AH120] a duration needs a unit\n    8 │ drain_timeout: 3600"
    text = ConsoleLines(width=lambda: width)(line("reload failed", level=logging.ERROR, findings=findings))
    head, top, *framed, bottom = rows(text)
    assert head.endswith("reload failed")
    assert (top[0], bottom[0]) == ("╭", "╰")
    assert [row.strip("│ ") for row in framed] == [text.strip() for text in findings.split("\n")]
    assert all(len(row) <= width for row in (top, *framed, bottom))


def test_changes_of_a_reload_are_coloured_like_a_diff() -> None:
    """Green for what came, red for what went, yellow for what was replaced; other fields stay quiet."""
    console = ConsoleLines(width=lambda: 120)
    codes = {"added": "32", "removed": "31", "new generation": "33"}
    for kind, code in codes.items():
        text = console(line("change applied", agent="a", kind=kind))
        assert f"\x1b[{code}m" in text.partition("kind=")[2]
    assert "\x1b[32m" not in console(line("event", agent="a", other="added")).partition("other=")[2]
    changed = [{"what": "load.cpu", "old": "70%", "new": "80%"}, {"what": "code", "note": "voice.py"}]
    text = console(line("change applied", agent="a", kind="live", changed=changed))
    assert "load.cpu\x1b[2m: \x1b[0m\x1b[31m70%\x1b[0m\x1b[2m → \x1b[0m\x1b[32m80%\x1b[0m" in text
    assert "code\x1b[2m: \x1b[0m\x1b[2mvoice.py\x1b[0m" in text
    assert text.count("\n") == 3


@pytest.mark.parametrize("width", [20, 80])
def test_only_our_own_colours_reach_the_terminal(width: int) -> None:
    """Whatever a message, a traceback, a key or a value holds, and wherever it is wrapped."""
    hostile = "\x1b[2J\x1b]0;title\x07a\x9b2J\x07\u202e\ud83d\u2028\x85 b"
    shown = line(hostile, traceback=f'  File "{hostile}", line 3, in {hostile}\n{hostile}', agent=hostile, room=hostile)
    text = ConsoleLines(width=lambda: width)(replace(shown, fields={**shown.fields, hostile: [hostile]}))
    without = re.sub(r"\x1b\[[\d;]*m", "", text).replace("\r", "")
    assert printable(without) == without
