"""YAML → nodes: every position is right, and nothing surprising gets through."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agenthost.config.collector import Collector
from agenthost.config.document import MAX_BYTES, Document, decode, parse
from agenthost.config.nodes import data, walk
from agenthost.config.scalars import write_scalar

_KEYS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P")), min_size=1, max_size=8)
_SCALARS = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(st.characters(codec="utf-8"), max_size=12)
_TREES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
    max_leaves=12,
)


def read(text: str) -> tuple[Document | None, list[str]]:
    findings = Collector("f.yaml")
    document = parse(text, "f.yaml", findings)
    return document, [finding.code for finding in findings.findings()]


def good(text: str) -> Document:
    document, codes = read(text)
    assert codes == []
    assert document is not None
    return document


def block(value: object, indent: int = 0) -> str:
    """A tree as block YAML, with keys and texts quoted whenever they need it."""
    pad = "  " * indent
    if isinstance(value, dict) and value:
        return "".join(f"{pad}{write_scalar(key)}:{_below(child, indent)}" for key, child in value.items())
    if isinstance(value, list) and value:
        return "".join(f"{pad}-{_below(child, indent)}" for child in value)
    return f"{pad}{_flat(value)}\n"


def _below(value: object, indent: int) -> str:
    return f"\n{block(value, indent + 1)}" if value and isinstance(value, (dict, list)) else f" {_flat(value)}\n"


def _flat(value: object) -> str:
    return "{}" if value == {} else "[]" if value == [] else write_scalar(value)  # type: ignore[arg-type]


@given(st.dictionaries(_KEYS, _TREES, min_size=1, max_size=4))
def test_any_tree_reads_back_and_every_position_points_at_its_key(tree: dict[str, object]) -> None:
    """What is written is read, and `key` and `span` are where the key and the value stand in the text."""
    text = block(tree)
    document, codes = read(text)
    if "<<" in str(tree):
        return  # a merge key is no ordinary key
    assert codes == []
    assert document is not None
    assert data(document.root) == tree
    lines = text.split("\n")
    for path, node in walk(document.root):
        assert node.path == path
        if node.key is not None:
            written = lines[node.key.line - 1][node.key.column - 1 : node.key.end_column - 1]
            assert written == write_scalar(str(path[-1]))
        if node.is_scalar and node.text and node.span.line:
            assert lines[node.span.line - 1][node.span.column - 1 : node.span.end_column - 1] == write_scalar(
                node.value
            )


@given(st.text(max_size=60))
def test_any_text_gives_a_document_or_a_finding(text: str) -> None:
    """No input makes the reader raise, or stay silent about having read nothing."""
    document, codes = read(text)
    assert document is not None or codes


def test_keys_are_text_whatever_they_look_like() -> None:
    """`on:` and `8:` are the keys `on` and `8`, not a boolean and a number."""
    assert data(good("on: 1\n8: 2\nnull: 3\n").root) == {"on": 1, "8": 2, "null": 3}


def test_quoted_scalars_are_text() -> None:
    """Quotes decide, whatever stands inside."""
    assert data(good("a: \"true\"\nb: '7'\nc: |\n  8\n").root) == {"a": "true", "b": "7", "c": "8\n"}


def test_an_alias_keeps_the_anchors_place_and_its_own_path() -> None:
    """An error in shared text is shown where the text stands."""
    document = good("x-a: &a { n: 1 }\nb: *a\n")
    node = document.root.entries["b"].entries["n"]
    assert node.path == ("b", "n")
    assert (node.span.line, node.span.column) == (1, 14)


def test_merge_keys_fill_in_what_is_not_written() -> None:
    """Own keys win, then the first source that has the key."""
    document = good("x: &x { a: 1, b: 1, c: 1 }\ny: &y { b: 2, d: 2 }\nz:\n  <<: [*x, *y]\n  a: 3\n")
    assert data(document.root.entries["z"]) == {"a": 3, "b": 1, "c": 1, "d": 2}


def test_duplicate_keys_are_reported_with_both_places() -> None:
    """The second one is the error; the first one is shown beside it."""
    findings = Collector("f")
    parse("a: 1\nb: 2\na: 3\n", "f", findings)
    (finding,) = findings.findings()
    assert (finding.code, finding.line, finding.related[0].line) == ("AH102", 3, 1)


@pytest.mark.quiet
@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 100_000,
        "a: " + "{a: " * 5_000,
        "".join(f"{' ' * depth}a:\n" for depth in range(2_000)),
        "a: &a [x, x, x]\n"
        + "".join(f"k{n}: &k{n} [*a, *a, *a, *k{n - 1}, *k{n - 1}]\n" for n in range(1, 40)).replace("*k0", "*a"),
    ],
)
def test_bombs_are_refused_quickly(text: str) -> None:
    """Nesting and aliases that only an attacker writes cost less than a second."""
    read("a: 1")  # what is imported with the first file is not counted
    started = time.process_time()
    document, codes = read(text)
    assert time.process_time() - started < 1
    assert document is None
    assert codes == ["AH006"]


def test_a_large_file_is_refused_before_it_is_parsed() -> None:
    """Ten megabytes are no configuration."""
    findings = Collector("f")
    assert decode(b"a: 1\n" * 2_000_000, findings) is None
    assert [finding.code for finding in findings.findings()] == ["AH006"]
    assert decode(b"#" * MAX_BYTES, findings) is not None


def test_bytes_that_are_no_utf8_are_pointed_at() -> None:
    """The finding names the line and column of the first such byte."""
    findings = Collector("f")
    assert decode(b"a: 1\nname: caf\xe9\n", findings) is None
    (finding,) = findings.findings()
    assert (finding.code, finding.line, finding.column) == ("AH002", 2, 10)


def test_a_byte_order_mark_is_no_part_of_the_first_key() -> None:
    """Editors on Windows write one."""
    text = decode(b"\xef\xbb\xbfentrypoint: a:b\n", Collector("f"))
    assert text is not None
    assert list(good(text).root.entries) == ["entrypoint"]


@pytest.mark.parametrize(
    ("text", "code"), [("", "AH004"), ("# only\n", "AH004"), ("null\n", "AH004"), ("[]", "AH005"), ("7", "AH005")]
)
def test_a_file_that_is_no_mapping_has_one_finding(text: str, code: str) -> None:
    """Nothing, null, a list, a value."""
    assert read(text) == (None, [code])


def test_an_empty_mapping_is_a_document() -> None:
    """What is missing in it is said by the later steps."""
    assert data(good("{}").root) == {}


@pytest.mark.parametrize("character", ["\r", "\x85", "\u2028", "\u2029", "\x00", "\x07"])
def test_characters_that_would_shift_every_line_number_are_refused(character: str) -> None:
    """To YAML some of them end a line, to editors none does."""
    findings = Collector("f")
    assert parse(f"a: 1\nb: 'x{character}y'\n", "f", findings) is None
    (finding,) = findings.findings()
    assert (finding.code, finding.line, finding.column) == ("AH002", 2, 6)
