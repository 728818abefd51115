"""Lines for machines: names, order, renames."""

import json
import logging

import pytest

from agenthost.logs.jsonlines import JsonLines
from agenthost.logs.lines import LogLine


def line(**fields: object) -> LogLine:
    return LogLine(created=1700000000.0625, level=logging.WARNING, logger="app", message="text", fields=fields)


def rendered(shown: LogLine, **rename: str) -> dict[str, object]:
    text = JsonLines(rename=rename, pid=7)(shown)
    assert text.endswith("\n")
    assert text.count("\n") == 1
    body = json.loads(text)
    assert isinstance(body, dict)
    return body


def test_fields_stand_in_a_fixed_order() -> None:
    """The four of every line, whose it is, then what the event adds."""
    shown = line(tokens=5, room="r", pid=9, agent="a", job_id="AJ_1")
    assert list(rendered(shown).items()) == [
        ("timestamp", "2023-11-14T22:13:20.062Z"),
        ("level", "WARNING"),
        ("name", "app"),
        ("message", "text"),
        ("agent", "a"),
        ("job_id", "AJ_1"),
        ("room", "r"),
        ("pid", 9),
        ("tokens", 5),
    ]


def test_line_of_the_host_has_its_pid() -> None:
    """Every line says which process it is from."""
    assert rendered(line())["pid"] == 7


def test_names_can_be_renamed() -> None:
    """Each log collector has names of its own."""
    body = rendered(line(job_id="AJ_1"), level="severity", message="msg", job_id="job")
    assert (body["severity"], body["msg"], body["job"]) == ("WARNING", "text", "AJ_1")
    assert not {"level", "message", "job_id"} & body.keys()


def test_field_of_user_code_never_takes_the_place_of_ours() -> None:
    """A collector parses `level`; what user code calls so comes under another name."""
    body = rendered(line(level=3, msg="mine"), message="msg")
    assert (body["level"], body["level_"], body["msg"], body["msg_"]) == ("WARNING", 3, "text", "mine")


def test_traceback_is_one_field() -> None:
    """A traceback has many lines, a record has one."""
    shown = LogLine(created=0.0, level=40, logger="a", message="m", fields={}, traceback="Traceback\n  x\nE: y")
    assert rendered(shown)["traceback"] == "Traceback\n  x\nE: y"
    assert "traceback" not in rendered(line())


@pytest.mark.parametrize("text", ["zeile\nzwei", 'quote " \\', "\x1b[31mred", "ünï€"])
def test_any_text_is_one_line_that_parses(text: str) -> None:
    """Whatever user code says, the line can be read back."""
    shown = LogLine(created=0.0, level=20, logger="a", message=text, fields={"f": text})
    assert rendered(shown)["message"] == text
    assert rendered(shown)["f"] == text
