"""Any text there is, halves of surrogate pairs and everything that a terminal acts on included."""

from hypothesis import strategies as st

HOSTILE = "\x00\x07\x08\t\n\r\x1b[]m;2J\x7f\x85\x9b\u2028\u2029\u202a\u202e\u2066\u2069\ud800\udbff\udc00\udfff\ufeff"
_characters = st.sampled_from(HOSTILE) | st.characters() | st.integers(0xD800, 0xDFFF).map(chr)
any_text = st.lists(_characters).map("".join)  # `st.text` leaves surrogates out, whatever its alphabet
