"""Log lines: plain values from any record, and their way through a pipe."""

import json
import logging
import math
from enum import IntEnum

import pytest

from agenthost.logs.events import FIELDS
from agenthost.logs.lines import MAX_LINE, LogLine, decode_line, encode_line, line_of, plain


def record(message: str = "text", *args: object, **extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"msg": message, "args": args, "name": "test", **extra})
    made.levelno = logging.INFO
    return made


def line(message: str = "text", **parts: object) -> LogLine:
    fields = parts.pop("fields", {})
    assert isinstance(fields, dict)
    return LogLine(
        created=1.5, level=20, logger="test", message=message, fields=fields, traceback=str(parts.get("tb", ""))
    )


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no text")


def test_context_comes_before_what_the_record_has() -> None:
    """Fields of `extra=` are the record's own; one that the context has too wins."""
    made = line_of(record("hello %s", "you", tokens=5, tier="gold"), {"tier": "none", "caller": "x"}, user_code=True)
    assert made.message == "hello you"
    assert made.fields == {"tier": "gold", "caller": "x", "tokens": 5}


def test_traceback_told_by_another_process_is_the_lines_own() -> None:
    """A failed import or job is told by the host, with the user's traceback as text: people read it line by line."""
    made = line_of(record(**{FIELDS: {"traceback": "Traceback …\nValueError: x", "reason": "y"}}), {}, user_code=False)
    assert (made.traceback, made.fields) == ("Traceback …\nValueError: x", {"reason": "y"})


def test_wrong_arguments_do_not_cost_the_line() -> None:
    """A mistake in a log call is told together with the text as it was written."""
    made = line_of(record("%d of %d", "one"), {}, user_code=True)
    assert made.message == "'%d of %d' with arguments that do not fit it (TypeError)"


def test_arguments_that_raise_do_not_cost_the_line() -> None:
    """User objects may do anything when they are asked for their text."""
    assert "RuntimeError" in line_of(record("%s", Hostile()), {}, user_code=True).message
    assert line_of(record(value=Hostile()), {}, user_code=True).fields == {
        "value": "<Hostile: its text raised RuntimeError>"
    }


def test_stack_info_is_told_below_the_traceback() -> None:
    """`stack_info=True` is not lost."""
    made = record(stack_info="Stack (most recent call last):\n  here")
    assert line_of(made, {}, user_code=True).traceback == "Stack (most recent call last):\n  here"


class Colour(IntEnum):
    RED = 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, "nan"),
        (-math.inf, "-inf"),
        (2**200, str(2**200)),
        ({1: (2, {3})}, {"1": [2, [3]]}),
        (b"\xff", "b'\\xff'"),
        (Colour.RED, 1),
        (True, True),
        (None, None),
    ],
)
def test_any_value_becomes_json(value: object, expected: object) -> None:
    """What JSON cannot say becomes text; the rest stays what it is."""
    assert plain(value) == expected
    json.dumps(plain(value), allow_nan=False)


def test_number_too_long_for_text_does_not_raise() -> None:
    """Python refuses to print numbers of over 4300 digits."""
    assert plain(10**5000) == "<int: its text raised ValueError>"


def test_endless_nesting_ends() -> None:
    """A list that contains itself is cut off with its text."""
    loop: list[object] = []
    loop.append(loop)
    assert str(plain(loop)).count("[") < 20


def test_plain_is_a_snapshot() -> None:
    """What the user changes later does not change the line."""
    values = {"a": [1]}
    snapshot = plain(values)
    values["a"].append(2)
    assert snapshot == {"a": [1]}


def test_line_survives_the_pipe() -> None:
    """Encoding and decoding lose nothing, whatever characters there are."""
    sent = line("ä\n\u2028\x00€", fields={"a": {"b": [1, None, True, 1.5]}}, tb="Traceback\n  x")
    data = encode_line(sent)
    assert data.count(b"\n") == 1
    assert decode_line(data) == sent


def test_half_of_a_surrogate_pair_is_replaced() -> None:
    """Text that is no Unicode (os.fsdecode of a file name) must not stop the log."""
    assert decode_line(encode_line(line("\udc80"))).message == "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize(
    "huge",
    [
        line("x" * 200_000),
        line("\x00" * 60_000),
        line("m", fields={"f": "ö" * 100_000, "g": "y" * 100_000}),
        line("m", fields={"list": ["z" * 60_000] * 3}),
        line("m", tb="t" * 300_000),
    ],
    ids=["message", "control characters", "fields", "nested", "traceback"],
)
def test_huge_record_is_cut_to_64_kib_with_a_note(huge: LogLine) -> None:
    """One record never costs more than a line, and its reader sees that something is missing."""
    data = encode_line(huge)
    assert len(data) <= MAX_LINE
    got = decode_line(data)
    assert got.logger == "test"
    assert "cut" in f"{got.message}{got.traceback}{dict(got.fields)}"


def test_name_of_a_field_is_bounded_too() -> None:
    """User code can take it from anywhere."""
    (key,) = line_of(record(**{"k" * 5000: 1}), {}, user_code=True).fields
    assert len(key) < 300


@pytest.mark.parametrize(
    "data", [b"", b"hello", b"{}", b"[1]", b'["1",20,"n","m","",{}]', b"\xff", b"[" * 100_000, b"1"]
)
def test_other_bytes_are_no_line(data: bytes) -> None:
    """User code can write to the pipe as well; that is an error the relay knows what to do with."""
    with pytest.raises(ValueError):
        decode_line(data)
