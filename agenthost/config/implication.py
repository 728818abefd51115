"""Whether one condition holds whenever another does: how an unreachable rule is found.

`implies` may say no where yes would be true (it looks at one condition at a time, and into no regex), but never yes
where no would be: a rule called unreachable is. Pure.
"""

import fnmatch
import operator

from agenthost.config.conditions import AllOf, AnyOf, Condition, Matches, NotHolding, Sample
from agenthost.config.matchers import Compare, Equals, Every, Exists, Glob, Matcher, NotMatching, OneOf, Order, Regex
from agenthost.config.regexes import RegexSet

_LOWER = (Order.GT, Order.GE)
_COMPARES = {Order.GT: operator.gt, Order.GE: operator.ge, Order.LT: operator.lt, Order.LE: operator.le}


def implies(stronger: Condition, weaker: Condition) -> bool:
    """True: in every offer for which `stronger` holds, `weaker` holds too."""
    match stronger, weaker:
        case _, AllOf(conditions=parts):
            return all(implies(stronger, part) for part in parts)
        case AnyOf(conditions=parts), _:
            return all(implies(part, weaker) for part in parts)
        case Sample(fraction=fraction), _ if fraction == 0:
            return True
        case _, Sample(fraction=fraction):
            return fraction == 1  # two samples of one size pick different rooms: the rule's name is in the hash
        case Matches(), Matches():
            return stronger.subject == weaker.subject and _matcher_implies(stronger.matcher, weaker.matcher)
        case NotHolding(condition=first), NotHolding(condition=second):
            return implies(second, first)
        case _:
            return _some_part_implies(stronger, weaker)


def _some_part_implies(stronger: Condition, weaker: Condition) -> bool:
    if isinstance(weaker, AnyOf) and any(implies(stronger, part) for part in weaker.conditions):
        return True
    return isinstance(stronger, AllOf) and any(implies(part, weaker) for part in stronger.conditions)


def _matcher_implies(stronger: Matcher, weaker: Matcher) -> bool:
    if stronger == weaker:
        return True
    match stronger, weaker:
        case OneOf(matchers=parts), OneOf():
            left = set(parts).difference(weaker.matchers)
            rest = OneOf(matchers=tuple(part for part in weaker.matchers if not isinstance(part, Equals)))
            return all(_matcher_implies(part, rest) for part in left)
        case OneOf(matchers=parts), _:
            return all(_matcher_implies(part, weaker) for part in parts)
        case _, Every(matchers=parts):
            return all(_matcher_implies(stronger, part) for part in parts)
        case _, OneOf(matchers=parts) if any(_matcher_implies(stronger, part) for part in parts):
            return True
        case Every(matchers=parts), _:
            return any(_matcher_implies(part, weaker) for part in parts)
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
        case NotMatching(matcher=first), NotMatching(matcher=second):
            return _matcher_implies(second, first)
        case _:
            return False


def _matches(matcher: Matcher, value: str | int | float | bool) -> bool:
    """Whether the one value that an `Equals` stands for passes `matcher`."""
    match matcher:
        case Glob(text=text):
            return isinstance(value, str) and fnmatch.fnmatchcase(value, text)
        case Regex(pattern=pattern):
            return isinstance(value, str) and bool(RegexSet([pattern]).hits(value))
        case Compare(order=order, bound=bound):
            if isinstance(value, bool) or isinstance(value, str) is not isinstance(bound, str):
                return False
            return bool(_COMPARES[order](value, bound))  # both are text, or both numbers
        case _:
            return matcher == Equals(value=value)


def _glob_implies(inner: str, outer: str) -> bool:
    """`*` alone swallows whatever the other's wildcards stand for, so a glob of `*` may be matched with the text."""
    return not set("?[") & set(outer) and "[" not in inner and fnmatch.fnmatchcase(inner, outer)


def _compare_implies(stronger: Compare, weaker: Compare) -> bool:
    if (stronger.order in _LOWER) is not (weaker.order in _LOWER):
        return False
    if stronger.bound == weaker.bound:
        return stronger.order is weaker.order or stronger.order in (Order.GT, Order.LT)
    return _matches(weaker, stronger.bound)
