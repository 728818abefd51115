"""What an answer to an offer may hold."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from agenthost.jobs import MAX_TOKEN_BYTES, Accept
from agenthost.texts import REPLACED
from tests.support.any_text import any_text


@given(any_text, any_text, st.dictionaries(any_text, any_text))
def test_texts_of_an_answer_are_utf8(identity: str, metadata: str, attributes: dict[str, str]) -> None:
    """However it came about; and what was not is named."""
    accept = Accept(identity=identity, metadata=metadata, attributes=attributes)
    texts = [accept.identity, accept.metadata, *accept.attributes, *accept.attributes.values(), *accept.mended]
    assert "".join(texts).encode().decode() == "".join(texts)
    same = (accept.identity, accept.metadata, accept.attributes) == (identity, metadata, attributes)
    assert same == (not accept.mended)


def test_what_was_replaced_is_named_and_stays_named() -> None:
    """Also when the answer is made again with something added."""
    accept = Accept(identity="a", name="\ud83d", attributes={"ok": "x", "who": "\ude00", "\ud83d": "y"})
    assert (accept.name, accept.attributes) == (REPLACED, {"ok": "x", "who": REPLACED, REPLACED: "y"})
    assert accept.mended == ("name", "attributes.who", f"attributes.{REPLACED}")
    assert replace(accept, metadata="m").mended == accept.mended


def test_size_is_that_of_the_token() -> None:
    """Escapes count, and base64."""
    assert Accept(identity="a", metadata="x" * 512 * 1024).token_bytes < MAX_TOKEN_BYTES
    assert Accept(identity="a", metadata='"' * 512 * 1024).token_bytes > MAX_TOKEN_BYTES
