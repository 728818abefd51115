"""Bytes into lines and groups, however the bytes are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agenthost.logs.lines import MAX_LINE
from agenthost.logs.splitting import LineGroup, LineSplitter, is_traceback


def split(*pieces: bytes) -> list[bytes]:
    splitter = LineSplitter()
    return [line for piece in pieces for line in splitter.feed(piece)] + splitter.finish()


@given(st.lists(st.binary(max_size=20).map(lambda data: data.replace(b"\r", b"\n"))))
def test_how_the_bytes_are_cut_makes_no_difference(pieces: list[bytes]) -> None:
    """A pipe gives what it has; the lines are those of the whole."""
    *whole, rest = b"".join(pieces).split(b"\n")
    assert split(*pieces) == whole + ([rest] if rest else [])


def test_last_line_without_newline_is_not_lost() -> None:
    """A process that dies in the middle of a line has said it."""
    assert split(b"one\ntw", b"o") == [b"one", b"two"]


@pytest.mark.parametrize("end", [b"", b"\nnext"])
@pytest.mark.parametrize("pieces", [1, 7, 100])
def test_endless_line_is_cut_with_a_note(pieces: int, end: bytes) -> None:
    """However long it is, its start and its length are told, and no more than its start is held."""
    splitter = LineSplitter()
    for _ in range(pieces):
        assert splitter.feed(b"x" * MAX_LINE) == []
    splitter.feed(b"yy")
    first, *more = splitter.feed(end) + splitter.finish()
    assert first == b"x" * (MAX_LINE - 64) + f"… (cut, {pieces * MAX_LINE + 2} bytes)".encode()
    assert more == ([b"next"] if end else [])


def test_line_of_exactly_the_limit_is_whole() -> None:
    """The limit belongs to what is allowed."""
    assert split(b"x" * MAX_LINE + b"\n") == [b"x" * MAX_LINE]
    assert split(b"a\n" + b"x" * (MAX_LINE + 1) + b"\nb\n")[1].endswith(f"… (cut, {MAX_LINE + 1} bytes)".encode())


def test_group_ends_after_50_ms_of_silence() -> None:
    """Each further line starts the 50 ms anew."""
    group = LineGroup()
    group.add([b"a"], 10.0)
    group.add([b"b"], 10.04)
    assert group.ends_in(10.08) == pytest.approx(0.01)
    assert group.ends_in(10.1) < 0
    assert group.take() == [b"a", b"b"]


def test_group_that_never_falls_silent_ends_after_a_second() -> None:
    """Somebody who writes on and on is heard meanwhile."""
    group = LineGroup()
    for step in range(40):
        group.add([b"x"], step * 0.03)
    assert group.ends_in(1.17) < 0


def test_unfinished_traceback_is_waited_for() -> None:
    """A busy machine may take longer than 50 ms between two lines of one."""
    group = LineGroup()
    group.add([b"Traceback (most recent call last):", b'  File "a.py", line 1'], 1.0)
    assert group.ends_in(1.5) > 0
    group.add([b"ValueError: boom"], 1.5)
    assert group.ends_in(1.56) < 0


def test_next_group_knows_nothing_of_the_last() -> None:
    """After `take`, the group is empty: no time, size or traceback is left in it."""
    group = LineGroup()
    group.add([b"Traceback (most recent call last):"], 1.0)
    group.take()
    group.add([b"  indented"], 5.0)
    assert group.ends_in(5.06) < 0
    assert group.take() == [b"  indented"]


def test_group_ends_at_32_kib() -> None:
    """A flood comes in pieces, also one of empty lines."""
    group = LineGroup()
    group.add([b""] * 33_000, 1.0)
    assert group.ends_in(1.0) == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"x\nTraceback (most recent call last):\n  y", True),
        (b"Fatal Python error: Segmentation fault\n", True),
        (b"the traceback is elsewhere", False),
    ],
)
def test_tracebacks_and_crashes_of_the_interpreter_are_known(text: bytes, expected: bool) -> None:
    """They are errors, other text on stderr is a warning."""
    assert is_traceback(text) is expected
