"""Any text at all, made fit for where it goes."""

import json
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agenthost.texts import REPLACED, cut, encodable, mended_texts, printable, printable_line, to_json
from tests.support.any_text import any_text

VALUES = st.recursive(
    any_text | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(any_text, inner)
)


def encodable_value(value: object) -> object:
    if isinstance(value, list):
        return [encodable_value(item) for item in value]
    if isinstance(value, dict):
        return {encodable(key): encodable_value(item) for key, item in value.items()}
    return encodable(value) if isinstance(value, str) else value


@given(any_text)
@example("\ud83d\ude00")
def test_encodable_text_is_utf8_and_else_the_same(text: str) -> None:
    """Character by character: only those that UTF-8 has no form for are replaced."""
    fit = encodable(text)
    assert fit.encode().decode() == fit
    assert [(a, b) for a, b in zip(text, fit, strict=True) if a != b and not ("\ud800" <= a <= "\udfff")] == []
    assert encodable(fit) == fit


@pytest.mark.parametrize("text", ["", "plain", "zeile\nzwei\0\x1b[31m", "שלום \u200f\u202e", "😀", "\ufeff"])
def test_what_the_wire_can_say_is_kept(text: str) -> None:
    """Control and bidi characters are somebody's data; server and clients take them."""
    assert encodable(text) is text


@given(any_text)
def test_printable_text_holds_nothing_that_a_terminal_acts_on(text: str) -> None:
    """No control character but the newline, no bidi control, no line separator, no half of a pair."""
    for character in printable(text):
        assert character == "\n" or unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp")
        assert unicodedata.bidirectional(character) not in (
            "LRE",
            "RLE",
            "LRO",
            "RLO",
            "PDF",
            "LRI",
            "RLI",
            "FSI",
            "PDI",
        )
    assert "\n" not in printable_line(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b(B\x1b[m", ""),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x9b2Jtext", "text"),
        ("a\tb", "a    b"),
        ("beep\x07\x7f", f"beep{REPLACED}{REPLACED}"),
        ("admin\x00", f"admin{REPLACED}"),
        ("a\u202eb", f"a{REPLACED}b"),
        ("two\nlines\r\nof it", "two\nlines\nof it"),
        ("\ud83d", REPLACED),
        ("שלום \u200f", "שלום \u200f"),
    ],
)
def test_what_people_see(text: str, shown: str) -> None:
    """Colours are gone without a trace; a single control character leaves one, since it may hide something."""
    assert printable(text) == shown


@given(VALUES)
def test_json_is_one_line_that_strict_parsers_take_and_terminals_ignore(value: object) -> None:
    """Parsed again it is what it was, but for halves of pairs."""
    text = to_json(value)
    assert text.encode().decode() == text
    assert text.splitlines() == [text]
    assert printable(text) == text
    assert json.loads(text) == encodable_value(value)


def test_mended_texts_are_named() -> None:
    """Those in which something is replaced."""
    assert mended_texts({"a": "x", "b": "\ud83d", "c": "😀\0"}) == ("b",)


def test_cut_says_how_long_the_text_was() -> None:
    """A text at the limit is whole."""
    assert cut("abc", 3) == "abc"
    assert cut("abcd", 3) == "abc… (cut, 4 characters)"
