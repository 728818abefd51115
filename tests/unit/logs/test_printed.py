"""What printed lines say about themselves."""

import json
import logging

import pytest

from agenthost.logs.printed import read, records

LOGURU = "2026-11-29 18:20:41.107 | {:<8} | app:serve:12 - took a call"


@pytest.mark.parametrize(
    ("line", "level"),
    [
        (LOGURU.format("DEBUG"), logging.DEBUG),
        (LOGURU.format("SUCCESS"), logging.INFO),
        (LOGURU.format("CRITICAL"), logging.CRITICAL),
        ("\x1b[32m2026-11-29 18:20:41.107\x1b[0m | \x1b[1mERROR   \x1b[0m | app - no", logging.ERROR),
        ("2026-11-29 18:20:41,107 - app - WARNING - low", logging.WARNING),
        ("2026-11-29T18:20:41Z [info     ] started            port=1", logging.INFO),
        ("2026-11-29T18:20:41Z level=error msg=lost", logging.ERROR),
        ("[2026-11-29 18:20:41,107] {app.py:3} INFO - x", logging.INFO),
        ("18:20:41.107 WARN  thing", logging.WARNING),
        ("Nov 29 18:20:41 host app: INFO x", logging.INFO),
        ("29/11/2026 18:20:41 ERROR x", logging.ERROR),
        ("WARNING:root:low", logging.WARNING),
        ("[ERROR] no", logging.ERROR),
        ("ERROR no", logging.ERROR),
        ("INFO:     Uvicorn running", logging.INFO),
        ("warning: unused", logging.WARNING),
        ("E1129 18:20:41.107000 1 server.cc:1] no", logging.ERROR),
        ("I0000 00:00:1732.1 1 gl.cc:1] yes", logging.INFO),
        ("2026-11-29 18:20:41 nothing is said", None),
        ("2026-11-29 18:20:41 asked for /api/ERROR/1", None),
        ("an INFO in the middle", None),
        ("Information is power", None),
        ("ERRORS: 3", None),
        ("hello", None),
    ],
)
def test_level_is_read_where_it_is_said(line: str, level: int | None) -> None:
    """At the beginning, or behind a time; the message stays as it was printed."""
    said = read(line)
    assert (said.message, said.level, said.fields) == (line, level, {})


def test_each_line_that_begins_as_records_do_is_one() -> None:
    """Tracebacks, indented lines and lines that say nothing of themselves go with the one before."""
    lines = [
        "a native library:",
        "  no card",
        LOGURU.format("INFO"),
        "and its second line",
        LOGURU.format("ERROR"),
        "Traceback (most recent call last):",
        '  File "a.py", line 1, in f',
        "Error: this ends the traceback",
        "WARNING:root:low",
        '{"event": "a", "level": "info"}',
        '{"event": "b", "level": "info"}',
        "{not json}",
    ]
    found = [record.decode().split("\n") for record in records([line.encode() for line in lines])]
    assert found == [lines[0:2], lines[2:4], lines[4:8], lines[8:9], lines[9:10], lines[10:]]


@pytest.mark.parametrize(
    ("body", "message", "level", "fields"),
    [
        ({"event": "took", "level": "warning", "n": 1}, "took", logging.WARNING, {"n": 1}),
        ({"message": "took", "severity": "ERROR", "event": "x"}, "took", logging.ERROR, {"event": "x"}),
        ({"msg": "took", "level": 30}, "took", None, {"level": 30}),
        ({"msg": "took", "level": "loud"}, "took", None, {"level": "loud"}),
        ({"n": 1}, '{"n": 1}', None, {"n": 1}),
        ({"message": {"a": 1}}, '{"message": {"a": 1}}', None, {"message": {"a": 1}}),
        (
            {"msg": "x", "agent": "a", "room": "r", "pid": 1, "job_id": "AJ"},
            "x",
            None,
            {"agent_": "a", "room_": "r", "pid_": 1, "job_id_": "AJ"},
        ),
    ],
)
def test_members_of_a_json_object_are_fields(
    body: dict[str, object], message: str, level: int | None, fields: dict[str, object]
) -> None:
    """Message and level are taken out of it; what is the host's to say comes under another name."""
    said = read(json.dumps(body))
    assert (said.message, said.level, said.fields) == (message, level, fields)


def test_traceback_of_a_json_object_is_one() -> None:
    """structlog's `format_exc_info`."""
    told = "Traceback (most recent call last):\n  File\nValueError: boom"
    said = read(json.dumps({"event": "failed", "level": "error", "exception": told}))
    assert (said.message, said.traceback, said.fields) == ("failed", told, {})


@pytest.mark.parametrize(
    "text",
    ["{", "[1]", "{'a': 1}", '{"a": ' * 5000, '{"a":' + "[" * 100_000, '{"a": ' + "9" * 6000 + "}", "{} x"],
)
def test_what_is_no_object_is_text(text: str) -> None:
    """However it tries."""
    said = read(text)
    assert (said.message, said.fields) == (text, {})


def test_fields_of_an_object_are_bounded() -> None:
    """A hundred, and how many more there were; nested ones as deep as those of records."""
    said = read(json.dumps({"msg": "x", **{f"k{n}": n for n in range(150)}}))
    assert (len(said.fields), said.fields["fields_cut"]) == (101, 50)
    deep = read('{"msg": "x", "a": ' + '{"b": ' * 50 + "1" + "}" * 51)
    assert len(json.dumps(deep.fields)) < 1000
