"""Texts as they come from outside: of any characters, and those that have harmed programs before."""

from hypothesis import strategies as st

_HALVES = [
    "\ud83d",  # what is left of an emoji that JavaScript has cut
    "a\udc80b",
    "\udc00\ud800",
]
_HARMFUL = [
    "",
    "\x00",
    "before\x00after",
    "\u202eright to left\u202c",
    "\u2066\u2069\u200b\ufeff",
    "line\nbreak\r\nand\x1b[31mcolour\x85\u2028",
    '{"level":"ERROR"}\n{"message":"not from here"}',
    "{job.id}",
    "${HOME}",
    "%s %(x)s {0}",
    "../../../etc/passwd",
    "\ufffe\uffff\U0010ffff",
    "e\u0301" * 40,
]
_ACTED_ON = "\x00\x07\x08\t\n\r\x1b[]m;2J\x7f\x85\x9b\u2028\u2029\u202a\u202e\u2066\u2069\ud800\udbff\udc00\udfff\ufeff"
_characters = st.sampled_from(_ACTED_ON) | st.characters() | st.integers(0xD800, 0xDFFF).map(chr)
_pieces = st.one_of(
    st.lists(_characters, max_size=20).map("".join),
    st.text(st.characters(), max_size=20),  # with halves of surrogate pairs, unlike st.text() alone
    st.text(st.characters(categories=["Cs", "Cc", "Cf", "Ll"]), min_size=1, max_size=10),
    st.sampled_from(_HARMFUL),
    st.sampled_from(_HALVES),
)
_long = st.builds(
    lambda piece, times: piece * times, st.sampled_from(["a", "ä€", "\x00"]), st.sampled_from([300, 5_000])
)

any_text = st.one_of(_pieces, _pieces, st.builds("".join, st.lists(_pieces, max_size=3)), _long)
"""Any str of Python, half characters included: what JSON may hold."""

wire_text = any_text.map(lambda text: text.encode(errors="ignore").decode())
"""What protobuf may hold."""


def one_odd(**texts: st.SearchStrategy[str]) -> st.SearchStrategy[dict[str, str]]:
    """Texts by name: all of them any, or, mostly, one of them and the others usual, so that it is what matters."""

    def usual_but(drawn: dict[str, str], odd: str | None) -> dict[str, str]:
        return drawn if odd is None else {name: drawn[name] if name == odd else "usual" for name in drawn}

    return st.builds(usual_but, st.fixed_dictionaries(texts), st.sampled_from([None, *texts]))


def is_plain(text: str) -> bool:
    """Whether nobody has a reason to change it."""
    return 0 < len(text) <= 100 and text.isprintable() and text.strip() == text
