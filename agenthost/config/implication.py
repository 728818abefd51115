"""Whether one condition holds whenever another does: how an unreachable rule is found.

`implies` may say no where yes would be true (it looks at one condition at a time, and into no regex), but never yes
where no would be: a rule called unreachable is. Pure.
"""

import fnmatch
import operator
from functools import lru_cache

from agenthost.config.conditions import AllOf, AnyOf, Condition, Matches, NotHolding, Sample
from agenthost.config.matchers import Compare, Equals, Every, Exists, Glob, Matcher, NotMatching, OneOf, Order, Regex
from agenthost.config.regexes import RegexSet

_LOWER = (Order.GT, Order.GE)
_COMPARES = {Order.GT: operator.gt, Order.GE: operator.ge, Order.LT: operator.lt, Order.LE: operator.le}


def implies(stronger: Condition, weaker: Condition) -> bool:
    """True: in every offer for which `stronger` holds, `weaker` holds too."""
    return _Comparison().conditions(stronger, weaker)


def size(condition: Condition) -> int:
    """How many matchers a condition has: the fewer, the more it is likely to cover."""
    match condition:
        case AllOf(conditions=parts) | AnyOf(conditions=parts):
            return sum(size(part) for part in parts)
        case NotHolding(condition=inner):
            return size(inner)
        case _:
            return 1


class _Comparison:
    """One comparison. Answers are kept by pair, for nested groups reach the same pair on very many ways."""

    def __init__(self) -> None:
        self._conditions: dict[tuple[int, int], bool] = {}
        self._matchers: dict[tuple[int, int], tuple[bool, Matcher, Matcher]] = {}

    def conditions(self, stronger: Condition, weaker: Condition) -> bool:
        pair = id(stronger), id(weaker)
        if pair not in self._conditions:
            self._conditions[pair] = self._compare_conditions(stronger, weaker)
        return self._conditions[pair]

    def _compare_conditions(self, stronger: Condition, weaker: Condition) -> bool:
        match stronger, weaker:
            case _, AllOf(conditions=parts):
                return all(self.conditions(stronger, part) for part in parts)
            case AnyOf(conditions=parts), _:
                return all(self.conditions(part, weaker) for part in parts)
            case Sample(fraction=fraction), _ if fraction == 0:
                return True
            case _, Sample(fraction=fraction):
                return fraction == 1  # two samples of one size pick different rooms: the rule's name is in the hash
            case Matches(), Matches():
                return stronger.subject == weaker.subject and self._matchers_imply(stronger.matcher, weaker.matcher)
            case NotHolding(condition=first), NotHolding(condition=second):
                return self.conditions(second, first)
            case _:
                return self._some_part_implies(stronger, weaker)

    def _some_part_implies(self, stronger: Condition, weaker: Condition) -> bool:
        if isinstance(weaker, AnyOf) and any(self.conditions(stronger, part) for part in weaker.conditions):
            return True
        return isinstance(stronger, AllOf) and any(self.conditions(part, weaker) for part in stronger.conditions)

    def _matchers_imply(self, stronger: Matcher, weaker: Matcher) -> bool:
        pair = id(stronger), id(weaker)
        if pair not in self._matchers:
            # both are kept with the answer: some are made on the way, and their ids must not be given to others
            self._matchers[pair] = self._compare_matchers(stronger, weaker), stronger, weaker
        return self._matchers[pair][0]

    def _compare_matchers(self, stronger: Matcher, weaker: Matcher) -> bool:
        match stronger, weaker:
            case OneOf(matchers=parts), OneOf():
                left = set(parts).difference(weaker.matchers)
                rest = OneOf(matchers=tuple(part for part in weaker.matchers if not isinstance(part, Equals)))
                return all(self._matchers_imply(part, rest) for part in left)
            case OneOf(matchers=parts), _:
                return all(self._matchers_imply(part, weaker) for part in parts)
            case _, Every(matchers=parts):
                return all(self._matchers_imply(stronger, part) for part in parts)
            case _, OneOf(matchers=parts) if any(self._matchers_imply(stronger, part) for part in parts):
                return True
            case Every(matchers=parts), _:
                return any(self._matchers_imply(part, weaker) for part in parts)
            case NotMatching(matcher=first), NotMatching(matcher=second):
                return self._matchers_imply(second, first)
            case _:
                return _single_implies(stronger, weaker)


def _single_implies(stronger: Matcher, weaker: Matcher) -> bool:
    match stronger, weaker:
        case Exists(wanted=wanted), _:
            return False if wanted else weaker == stronger
        case _, Exists(wanted=wanted):
            return wanted
        case Equals(value=value), _:
            return _matches(weaker, value)
        case Glob(text=inner), Glob(text=outer):
            return _glob_implies(inner, outer)
        case Compare(), Compare():
            return _compare_implies(stronger, weaker)
        case _:
            return False


def _matches(matcher: Matcher, value: str | int | float | bool) -> bool:
    """Whether the one value that an `Equals` stands for passes `matcher`."""
    match matcher:
        case Glob(text=text):
            return isinstance(value, str) and fnmatch.fnmatchcase(value, text)
        case Regex(pattern=pattern):
            return isinstance(value, str) and bool(_regex(pattern).hits(value))
        case Compare(order=order, bound=bound):
            if isinstance(value, bool) or isinstance(value, str) is not isinstance(bound, str):
                return False
            return bool(_COMPARES[order](value, bound))  # both are text, or both numbers
        case _:
            return matcher == Equals(value=value)


@lru_cache(maxsize=1024)
def _regex(pattern: str) -> RegexSet:
    return RegexSet([pattern])


def _glob_implies(inner: str, outer: str) -> bool:
    """`*` alone swallows whatever the other's wildcards stand for, so a glob of `*` may be matched with the text."""
    return not set("?[") & set(outer) and "[" not in inner and fnmatch.fnmatchcase(inner, outer)


def _compare_implies(stronger: Compare, weaker: Compare) -> bool:
    if (stronger.order in _LOWER) is not (weaker.order in _LOWER):
        return False
    if stronger.bound == weaker.bound:
        return stronger.order is weaker.order or stronger.order in (Order.GT, Order.LT)
    return _matches(weaker, stronger.bound)
