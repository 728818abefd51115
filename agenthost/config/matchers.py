"""Matchers: what a rule says about one subject, as frozen values. The grammar is in `matcher_parsing.py`.

A missing subject matches none of them but `Exists(wanted=False)`. Equality is by value, so that two readings of one
file are equal. Pure; nothing here matches anything (rules.py does).
"""

from enum import Enum

from msgspec import Struct

Value = str | int | float | bool


class Equals(Struct, frozen=True, kw_only=True):
    """The very value: `true` is not `1` and `"7"` is not `7`, but `7` is `7.0`."""

    value: Value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Equals):
            return NotImplemented
        return self.value == other.value and isinstance(self.value, bool) == isinstance(other.value, bool)

    def __hash__(self) -> int:
        return hash((self.value, isinstance(self.value, bool)))


class Glob(Struct, frozen=True, kw_only=True):
    """`*` any text, `?` one character, `[abc]` `[!abc]` one of these (or none); the whole value, upper case counts."""

    text: str


class Regex(Struct, frozen=True, kw_only=True):
    """An RE2 pattern, found anywhere in the value unless anchored."""

    pattern: str


class Order(Enum):
    """How a value compares with a bound."""

    GT = "gt"
    GE = "ge"
    LT = "lt"
    LE = "le"


class Compare(Struct, frozen=True, kw_only=True):
    """Numbers with a number bound; dates with an ISO date, as text. Anything else does not match."""

    order: Order
    bound: float | str


class Exists(Struct, frozen=True, kw_only=True):
    wanted: bool


class OneOf(Struct, frozen=True, kw_only=True):
    matchers: tuple["Matcher", ...]


class Every(Struct, frozen=True, kw_only=True):
    matchers: tuple["Matcher", ...]


class NotMatching(Struct, frozen=True, kw_only=True):
    """The subject is there, and `matcher` does not match it."""

    matcher: "Matcher"


Matcher = Equals | Glob | Regex | Compare | Exists | OneOf | Every | NotMatching
