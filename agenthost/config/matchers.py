"""Matchers: what a rule says about one subject, as frozen values. The grammar is in `matcher_parsing.py`.

A missing subject matches none of them but `Exists(wanted=False)`. Equality is by value, so that two readings of one
file are equal. Pure; nothing here matches anything (rules.py does).
"""

from dataclasses import dataclass
from enum import Enum

Value = str | int | float | bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Equals:
    """The very value: `true` is not `1` and `"7"` is not `7`, but `7` is `7.0`."""

    value: Value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Equals):
            return NotImplemented
        return self.value == other.value and isinstance(self.value, bool) == isinstance(other.value, bool)

    def __hash__(self) -> int:
        return hash((self.value, isinstance(self.value, bool)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Glob:
    """`*` any text, `?` one character, `[abc]` `[!abc]` one of these (or none); the whole value, upper case counts."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Regex:
    """An RE2 pattern, found anywhere in the value unless anchored."""

    pattern: str


class Order(Enum):
    """How a value compares with a bound."""

    GT = "gt"
    GE = "ge"
    LT = "lt"
    LE = "le"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare:
    """Numbers with a number bound; dates with an ISO date, as text. Anything else does not match."""

    order: Order
    bound: float | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Exists:
    wanted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OneOf:
    matchers: tuple["Matcher", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Every:
    matchers: tuple["Matcher", ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class NotMatching:
    """The subject is there, and `matcher` does not match it."""

    matcher: "Matcher"


Matcher = Equals | Glob | Regex | Compare | Exists | OneOf | Every | NotMatching
