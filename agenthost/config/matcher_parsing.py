"""Reads one matcher of a rule from the file's plain data: a scalar, a list (any of), or a mapping of operators.

    gold    "vip-*"    "/^vip-[0-9]+$/"    [a, "b-*"]    "8..18"    { ge: 2, lt: 10 }    { not: x }    { exists: true }

Pure; every problem is reported at the key or list item that causes it.
"""

import difflib
from collections.abc import Mapping

from agenthost.config.matcher_scalars import Refused, read_bound, read_exact, read_fraction, read_scalar, shown
from agenthost.config.matchers import Compare, Every, Exists, Matcher, NotMatching, OneOf, Order
from agenthost.config.nodes import Keys
from agenthost.config.problems import Problem
from agenthost.config.subjects import Subject

ORDERS = {order.value: order for order in Order}
OPERATORS = (*ORDERS, "not", "exists", "in")
MAX_DEPTH = 16  # `not` and lists may nest; deeper is no matcher that a person wrote, and evaluation recurses


def parse_matcher(
    data: object, path: Keys, subject: Subject, problems: list[Problem], *, depth: int = 0
) -> Matcher | None:
    """The matcher that `data` describes for `subject`; None, with the reason added to `problems`, if it is none."""
    try:
        if depth > MAX_DEPTH:
            raise Refused(f"matchers nest deeper than {MAX_DEPTH} levels", "write it flatter")
        if isinstance(data, list):
            return _parse_list(data, path, subject, problems, depth)
        if isinstance(data, Mapping):
            return _parse_operators(data, path, subject, problems, depth)
        return read_scalar(data, subject)
    except Refused as refused:
        problems.append(_problem(path, refused))
        return None


def parse_fraction(data: object, path: Keys, problems: list[Problem]) -> float | None:
    """The share 0..1 of a `sample`; None, with the reason added to `problems`, if it is none."""
    try:
        return read_fraction(data)
    except Refused as refused:
        problems.append(_problem(path, refused))
        return None


def _parse_list(
    data: list[object], path: Keys, subject: Subject, problems: list[Problem], depth: int
) -> Matcher | None:
    if not data:
        raise Refused("an empty list matches nothing", "list what shall match, or leave the line out")
    found = [parse_matcher(item, (*path, index), subject, problems, depth=depth + 1) for index, item in enumerate(data)]
    return OneOf(matchers=tuple(matcher for matcher in found if matcher is not None))


def _parse_operators(
    data: Mapping[str, object], path: Keys, subject: Subject, problems: list[Problem], depth: int
) -> Matcher | None:
    if not data:
        raise Refused("an empty mapping is no matcher", f"operators are {', '.join(OPERATORS)}")
    found = []
    for key, value in data.items():
        try:
            found.append(_parse_operator(key, value, (*path, key), subject, problems, depth))
        except Refused as refused:
            problems.append(_problem((*path, key), refused, at_key=key not in OPERATORS))
    if len(found) > 1 and Exists(wanted=False) in found:
        raise Refused("`exists: false` beside another operator never matches", "write two conditions under `any:`")
    matchers = tuple(matcher for matcher in found if matcher is not None)
    _check_bounds(matchers)
    return matchers[0] if len(matchers) == 1 else Every(matchers=matchers)


def _check_bounds(matchers: tuple[Matcher, ...]) -> None:
    bounds = [matcher for matcher in matchers if isinstance(matcher, Compare)]
    for low in bounds:
        for high in bounds:
            if low.order not in (Order.GT, Order.GE) or high.order not in (Order.LT, Order.LE):
                continue
            touching = low.order is Order.GE and high.order is Order.LE
            if _exceeds(low.bound, high.bound) or (low.bound == high.bound and not touching):
                raise Refused(
                    f"nothing is both `{low.order.value}: {low.bound}` and `{high.order.value}: {high.bound}`"
                )


def _exceeds(low: float | str, high: float | str) -> bool:
    return low > high if isinstance(low, str) and isinstance(high, str) else float(low) > float(high)


def _parse_operator(
    key: str, value: object, path: Keys, subject: Subject, problems: list[Problem], depth: int
) -> Matcher | None:
    if key in ORDERS:
        return Compare(order=ORDERS[key], bound=read_bound(value, subject))
    if key == "not":
        matcher = parse_matcher(value, path, subject, problems, depth=depth + 1)
        return None if matcher is None else NotMatching(matcher=matcher)
    if key == "exists":
        if isinstance(value, bool):
            return Exists(wanted=value)
        raise Refused(f"`exists` is `true` or `false`, not `{shown(value)}`")
    if key == "in":
        return _parse_in(value, path, subject, problems)
    raise _unknown_operator(key, subject)


def _parse_in(value: object, path: Keys, subject: Subject, problems: list[Problem]) -> Matcher:
    if not isinstance(value, list) or not value:
        raise Refused("`in` takes a list of exact values", "for example `{ in: [gold, silver] }`")
    exact: list[Matcher] = []
    for index, item in enumerate(value):
        try:
            exact.append(read_exact(item, subject))
        except Refused as refused:
            problems.append(_problem((*path, index), refused))
    return OneOf(matchers=tuple(exact))


def _unknown_operator(key: str, subject: Subject) -> Refused:
    near = difflib.get_close_matches(str(key), OPERATORS, n=1)
    if near:
        return Refused(f"unknown operator `{key}`", f"did you mean `{near[0]}`?", fix=near[0])
    if subject.root.endswith(".metadata"):
        return Refused(f"unknown operator `{key}`", f"for a value inside, write the path `{subject}.{key}`")
    return Refused(f"unknown operator `{key}`", f"operators are {', '.join(OPERATORS)}")


def _problem(path: Keys, refused: Refused, *, at_key: bool = False) -> Problem:
    return Problem(
        path=path, code=refused.code, message=refused.message, hint=refused.hint, fix=refused.fix, at_key=at_key
    )
