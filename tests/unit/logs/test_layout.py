"""The columns for people, without colours."""

import logging
import re

import pytest

from agenthost.jobs import JobType
from agenthost.logs.banner import Banner, BannerAgent
from agenthost.logs.layout import Layout, PlainLines
from agenthost.logs.lines import LogLine


def line(
    message: str = "text", *, logger: str = "agenthost.host", level: int = logging.INFO, **fields: object
) -> LogLine:
    return LogLine(created=1700000000.0625, level=level, logger=logger, message=message, fields=fields)


def plain(shown: LogLine) -> str:
    return re.sub(r"^\d\d:\d\d:20\.062 ", "", PlainLines()(shown))


def test_line_reads_level_agent_event_fields() -> None:
    """What happened comes before whose job it was; the pid only matters where there is no job."""
    shown = line("job started", room="r", seconds=0.00231, agent="support", pid=9, job_id="AJ_1")
    assert plain(shown) == "INFO  support job started  seconds=0.00231 room=r job_id=AJ_1\n"
    assert plain(line("process ready", agent="support", pid=9)) == "INFO  support process ready  pid=9\n"


@pytest.mark.parametrize(("level", "name"), [(5, "TRACE"), (30, "WARN "), (50, "CRIT ")])
def test_levels_take_five_characters(level: int, name: str) -> None:
    """The column never moves."""
    assert plain(line(level=level)) == f"{name} text\n"


@pytest.mark.parametrize(
    ("logger", "text"),
    [("agenthost.host", "text"), ("stdout", "text"), ("root", "text"), ("app.llm", "app.llm: text")],
)
def test_logger_is_named_when_user_code_named_it(logger: str, text: str) -> None:
    """Ours and the standard streams say nothing about where a line comes from."""
    assert plain(line(logger=logger)) == f"INFO  {text}\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain/1:2", "plain/1:2"),
        ("two words", '"two words"'),
        ("", '""'),
        ('say "hi" now', "'say \"hi\" now'"),
        ('it\'s "both"', '"it\'s \\"both\\""'),
        (True, "true"),
        (None, "null"),
        (123456.75, "123456.75"),
        (0.123456, "0.1235"),
        ([1, "a"], '[1, "a"]'),
    ],
)
def test_values_are_readable_and_unambiguous(value: object, text: str) -> None:
    """Text with blanks is quoted, numbers are short."""
    assert plain(line(value=value)) == f"INFO  text  value={text}\n"


def test_agent_column_grows_with_the_longest_id_and_stops_at_sixteen() -> None:
    """Columns align; a very long id does not push the messages out of the window."""
    layout = Layout()
    layout.columns(line(agent="a" * 30))
    assert layout.columns(line(agent="b")).agent == "b" + " " * 15
    assert layout.columns(line(agent="a" * 30)).agent == "a" * 15 + "…"


def test_more_lines_are_indented() -> None:
    """Every line that starts at the margin is a record."""
    shown = LogLine(
        created=1700000000.0625, level=40, logger="x", message="a\nb", fields={}, traceback="Traceback:\n  c"
    )
    assert plain(shown) == "ERROR x: a\n    b\n    Traceback:\n      c\n"


FORGED = "ok\n12:00:00.000 ERROR forged"


@pytest.mark.parametrize(
    "shown",
    [
        line(room=FORGED),
        line(**{FORGED: 1}),
        line(agent=FORGED),
        line(logger=FORGED),
        line(FORGED),
        line(value={FORGED: [FORGED]}),
        line(changed=[{"what": FORGED, "old": FORGED, "new": FORGED}]),
    ],
    ids=["value", "key", "agent", "logger", "message", "nested", "changed"],
)
def test_no_text_begins_a_line_of_its_own(shown: LogLine) -> None:
    """Whoever names a room, a field or a logger writes no record of the log."""
    _, *more = PlainLines()(shown).splitlines()
    assert all(text.startswith("    ") for text in more)


@pytest.mark.parametrize("where", ["room", "agent", "other", "message", "key", "traceback"])
def test_nothing_moves_the_cursor_or_turns_the_text(where: str) -> None:
    """Control sequences are gone, what else a terminal would act on is replaced, wherever it stands."""
    hostile = "\x1b[2J\x1b]0;title\x07a\x9b2J\x07\u202eb\ud83d\u2028\x85"
    parts = {"message": hostile} if where == "message" else {}
    fields = {hostile if where == "key" else where: hostile} if where not in ("message", "traceback") else {}
    shown = LogLine(created=1.0, level=20, logger="x", fields=fields, traceback=hostile, **{"message": "text", **parts})
    for text in (PlainLines()(shown), "".join(PlainLines()(shown).splitlines())):
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u202e\ud800-\udfff]", text)
    assert "a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}b" in PlainLines()(shown)


def test_banner_has_agents_addresses_and_the_command() -> None:
    """All that somebody needs for a first call, without a colour."""
    banner = Banner(
        version="1.2.3",
        command="dev",
        file="agenthost.yaml",
        agents=(
            BannerAgent(id="front-door", agent_name="", type=JobType.ROOM),
            BannerAgent(id="watch", agent_name="watcher", type=JobType.PUBLISHER),
        ),
        livekit_url="ws://127.0.0.1:7880",
        local_server=True,
        http="127.0.0.1:8081",
        idle_processes=1,
    )
    assert PlainLines().banner(banner) == (
        "\n"
        "agenthost 1.2.3 · dev · agenthost.yaml\n"
        "\n"
        "  front-door  room       every room (automatic dispatch)\n"
        "                         agenthost dispatch '' --room my-room\n"
        "  watch       publisher  explicit dispatch only (agent_name: watcher)\n"
        "                         agenthost dispatch watcher --room my-room\n"
        "\n"
        "  LiveKit     ws://127.0.0.1:7880 (started by this command, ends with it)\n"
        "  HTTP        http://127.0.0.1:8081\n"
        "  idle        1 process kept ready\n"
        "  stop        Ctrl-C drains: running jobs end by themselves; again: ends them\n"
        "\n"
    )


def test_what_changed_is_a_row_each_below_the_line() -> None:
    """As one would write it; what is not told is a note. A field of that name of somebody else's stays what it is."""
    changed = [
        {"what": "load.cpu", "old": "70%", "new": "80%"},
        {"what": "settings.voice", "new": "alba"},
        {"what": "settings.model", "old": "small"},
        {"what": "environment", "note": "WORD"},
        {"what": "preload"},
    ]
    head, *rows = PlainLines()(line("change applied", agent="a", kind="live", changed=changed)).splitlines()
    assert head.endswith("a change applied  kind=live")
    assert rows == [
        "    load.cpu: 70% → 80%",
        "    settings.voice: + alba",
        "    settings.model: - small",
        "    environment: WORD",
        "    preload",
    ]
    assert PlainLines()(line("event", changed=[1])).endswith("event  changed=[1]\n")
