"""Texts from outside, made fit for where they go: the wire, a log, a metric, a terminal. Pure; used in every process.

Names and metadata of rooms and participants, answers of handlers, and what jobs print can hold any character there
is, and some that are none: half a surrogate pair is what JavaScript leaves of an emoji that `slice` has cut, and what
Python makes of a file name or variable that is not UTF-8. What a place can hold is kept; the rest becomes U+FFFD.

Nothing here is for paths: no path of a host is made of such a text (`runtime_folder.name_for` hashes).
"""

import json
import re
from collections.abc import Mapping

REPLACED = "\N{REPLACEMENT CHARACTER}"

MAX_FIELD = 64 * 1024
"""Characters of one text in a log; more are cut off, with a note."""

_TAB = "    "

_SURROGATES = re.compile("[\ud800-\udfff]")

_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor, erase
    r"|\x1b[]P^_X][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC, DCS …: window title, links, clipboard
    r"|\x1b[ -/]*[0-~]"  # all others: character sets, reset
)
"""Whole control sequences of a terminal (ECMA-48)."""

_BIDI = "\u202a-\u202e\u2066-\u2069"
"""Embeddings, overrides and isolates show text in another order than it has (CVE-2021-42574, trojansource.codes).

The marks U+200E, U+200F and U+061C reorder no more than the letters of those scripts do, and people write them.
"""

_SEPARATORS = "\u2028\u2029"
"""Some viewers and `str.splitlines` begin a new line there."""

_UNSHOWN = re.compile(f"[\x00-\x09\x0b-\x1f\x7f-\x9f{_SEPARATORS}{_BIDI}\ud800-\udfff]")
_UNESCAPED = re.compile(f"[\x7f-\x9f{_SEPARATORS}{_BIDI}]")


def encodable(text: str) -> str:
    """`text` as UTF-8 can say it: half a surrogate pair is replaced, everything else is kept.

    For the wire (protobuf's `string` is UTF-8, and its encoder raises), the values of metrics' labels, which are UTF-8
    in Prometheus' formats, and what regexes and hashes read. NUL, control and bidi characters are kept: LiveKit's
    server and clients hand them on as they are.
    """
    return text if text.isascii() else _SURROGATES.sub(REPLACED, text)


def printable(text: str) -> str:
    """`text` as it may be shown to a person, in a terminal or a plain log: newlines stay, tabs become four blanks.

    Colours and other whole sequences are taken out; single control characters, bidi controls and half surrogate pairs
    are replaced, so that nobody who names a room moves the cursor, sets the window's title, or hides a word.
    """
    if text.isascii() and text.isprintable():
        return text
    plain = _SEQUENCES.sub("", text.replace("\r\n", "\n")).replace("\t", _TAB)
    return _UNSHOWN.sub(REPLACED, plain)


def printable_line(text: str) -> str:
    """As `printable`, with newlines written as `\\n`: it can begin no line of its own."""
    return printable(text).replace("\n", "\\n")


def cut(text: str, limit: int = MAX_FIELD) -> str:
    """`text`, or its first `limit` characters and a note that says how many there were."""
    return text if len(text) <= limit else f"{text[:limit]}… (cut, {len(text)} characters)"


def to_json(value: object, *, spaced: bool = False) -> str:
    """JSON in one line that every parser takes and no terminal acts on. `spaced`: with blanks, for people.

    Characters are escaped, not replaced, but for half a surrogate pair: JSON can escape that, too, and strict parsers
    refuse it then (RFC 8259, section 8.2).
    """
    text = json.dumps(value, ensure_ascii=False, separators=None if spaced else (",", ":"))
    return text if text.isascii() and "\x7f" not in text else _UNESCAPED.sub(_escape, encodable(text))


def mended_texts(texts: Mapping[str, str]) -> tuple[str, ...]:
    """The names of those `texts` that `encodable` changes."""
    return tuple(name for name, text in texts.items() if encodable(text) != text)


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
