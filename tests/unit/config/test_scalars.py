"""The scalar table: nothing unquoted means something that its writer did not mean."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agenthost.config.scalars import quote, read_scalar, write_scalar


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("false", False),
        ("0", 0),
        ("-7", -7),
        ("0.5", 0.5),
        (".5", 0.5),
        ("1e3", 1000.0),
    ],
)
def test_the_few_words_and_numbers_that_are_no_text(text: str, value: object) -> None:
    """Null, booleans and plain decimal numbers are recognised, and keep their type."""
    assert read_scalar(text) == value
    assert type(read_scalar(text)) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        "yes",
        "no",
        "on",
        "off",
        "Yes",
        "True",
        "NULL",
        "010",
        "00",
        "0x1F",
        "0o17",
        "1_000",
        "22:22",
        "2026-03-02",
        "5.",
        ".inf",
        ".nan",
        "+1",
        "1e400",
        "9" * 19,
        "1.0.0",
        "٣",
    ],
)
def test_everything_else_is_text(text: str) -> None:
    """What other readers turn into booleans, octal numbers, dates or infinities stays as it was written."""
    assert read_scalar(text) == text


@given(st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.text())
def test_written_scalars_read_back_as_themselves(value: object) -> None:
    """`write_scalar` never writes what would be read as something else."""
    import yaml

    from agenthost.config.collector import Collector
    from agenthost.config.document import parse

    if isinstance(value, str) and any(0xD800 <= ord(char) <= 0xDFFF for char in value):
        return  # lone surrogates are no text at all
    document = parse(f"key: {write_scalar(value)}\n", "f", Collector("f"))
    assert document is not None
    assert document.root.entries["key"].value == value
    if isinstance(value, str):
        assert yaml.safe_load(quote(value)) == value
