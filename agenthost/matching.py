"""Compiles conditions into predicates over one offer's `Values`, for the speed that a decision needs.

All regexes on one subject share one RE2 set: a single pass over the text answers them all. Globs become `re` patterns
of atomic groups, which do not backtrack. Pure; runs in the host.
"""

import fnmatch
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

from agenthost.config.conditions import AllOf, AnyOf, Condition, Matches, NotHolding, Sample
from agenthost.config.matcher_scalars import WILDCARDS
from agenthost.config.matchers import Compare, Equals, Every, Exists, Glob, Matcher, NotMatching, OneOf, Order, Regex
from agenthost.config.regexes import RegexSet
from agenthost.config.subjects import Subject
from agenthost.offer_values import HASH_BITS, Values, stable_hash

Predicate = Callable[[Values], bool]

_ORDERS: dict[Order, Callable[[Any, Any], bool]] = {
    Order.GT: operator.gt,
    Order.GE: operator.ge,
    Order.LT: operator.lt,
    Order.LE: operator.le,
}
_HASH_MASK = (1 << HASH_BITS) - 1


class Compiler:
    """Turns the conditions of one agent's rules into predicates, and collects the subjects and regexes they read.

    `subjects` and `regex_sets` are what `Values` is to be made with, once all conditions are compiled.
    """

    def __init__(self, agent: str) -> None:
        self._agent = agent
        self._indexes: dict[Subject, int] = {}
        self._patterns: dict[int, list[str]] = {}

    @property
    def subjects(self) -> tuple[Subject, ...]:
        return tuple(self._indexes)

    def regex_sets(self) -> dict[int, RegexSet]:
        """By the index of the subject they are about."""
        return {index: RegexSet(patterns) for index, patterns in self._patterns.items()}

    def compile(self, condition: Condition, rule: str) -> Predicate:
        """The predicate of `condition`; `rule` is the name of its rule, which decides what `sample` picks."""
        match condition:
            case Matches(subject=subject, matcher=matcher):
                return self._compile_matcher(matcher, self._indexes.setdefault(subject, len(self._indexes)))
            case Sample(fraction=fraction):
                return _sample(self._agent, rule, fraction)
            case AllOf(conditions=conditions):
                return _all_of([self.compile(part, rule) for part in conditions])
            case AnyOf(conditions=conditions):
                return _any_of([self.compile(part, rule) for part in conditions])
            case NotHolding(condition=inner):
                return _not(self.compile(inner, rule))

    def _compile_matcher(self, matcher: Matcher, index: int) -> Predicate:
        match matcher:
            case Equals(value=value):
                return _equals(index, value)
            case Glob(text=text):
                return _glob(index, text)
            case Regex(pattern=pattern):
                numbers = self._regexes(index, [pattern])
                return lambda values: not numbers.isdisjoint(values.regex_hits(index))
            case Compare(order=order, bound=bound):
                return _compare(index, _ORDERS[order], bound)
            case Exists(wanted=wanted):
                return lambda values: (values.value(index) is not None) is wanted
            case OneOf(matchers=matchers):
                return self._one_of(matchers, index)
            case Every(matchers=matchers):
                return _all_of([self._compile_matcher(part, index) for part in matchers])
            case NotMatching(matcher=inner):
                holds = self._compile_matcher(inner, index)
                return lambda values: values.value(index) is not None and not holds(values)

    def _regexes(self, index: int, wanted: Sequence[str]) -> frozenset[int]:
        """Puts `wanted` into the set of their subject; the numbers they have there."""
        patterns = self._patterns.setdefault(index, [])
        first = len(patterns)
        patterns.extend(wanted)
        return frozenset(range(first, len(patterns)))

    def _one_of(self, matchers: Sequence[Matcher], index: int) -> Predicate:
        texts = [part for part in matchers if _is_about_text(part)]
        parts = [self._compile_matcher(part, index) for part in matchers if not _is_about_text(part)]
        if texts:
            parts.insert(0, self._text_among(texts, index))
        return _any_of(parts)

    def _text_among(self, matchers: Sequence[Matcher], index: int) -> Predicate:
        """A list of texts, globs and regexes, which costs little more than one of them."""
        exact = frozenset(part.value for part in matchers if isinstance(part, Equals))
        globs = _compile_globs([part.text for part in matchers if isinstance(part, Glob)])
        regexes = self._regexes(index, [part.pattern for part in matchers if isinstance(part, Regex)])

        def holds(values: Values) -> bool:
            value = values.value(index)
            if not isinstance(value, str):
                return False
            if value in exact or (globs is not None and globs(value)):
                return True
            return bool(regexes) and not regexes.isdisjoint(values.regex_hits(index))

        return holds


def _is_about_text(matcher: Matcher) -> bool:
    return isinstance(matcher, Glob | Regex) or (isinstance(matcher, Equals) and isinstance(matcher.value, str))


def _equals(index: int, wanted: str | int | float | bool) -> Predicate:
    if isinstance(wanted, bool):
        return lambda values: values.value(index) is wanted
    if isinstance(wanted, str):
        return lambda values: values.value(index) == wanted
    return lambda values: _is_number(value := values.value(index)) and value == wanted


def _glob(index: int, text: str) -> Predicate:
    if _is_prefix(text):  # what most globs are: needs no pattern
        prefix = text[:-1]
        return lambda values: isinstance(value := values.value(index), str) and value.startswith(prefix)
    matches = re.compile(fnmatch.translate(text)).match
    return lambda values: isinstance(value := values.value(index), str) and matches(value) is not None


def _compile_globs(texts: Sequence[str]) -> Callable[[str], object] | None:
    """Whether a value matches one of `texts`, in one step; None where there are none."""
    if all(_is_prefix(text) for text in texts):
        prefixes = tuple(text[:-1] for text in texts)
        return (lambda value: value.startswith(prefixes)) if prefixes else None
    return re.compile("|".join(map(fnmatch.translate, texts))).match


def _is_prefix(glob: str) -> bool:
    return glob[-1] == "*" and WILDCARDS.isdisjoint(glob[:-1])


def _compare(index: int, compare: Callable[[Any, Any], bool], bound: float | str) -> Predicate:
    def holds(values: Values) -> bool:
        value = values.value(index)
        comparable = isinstance(value, str) if isinstance(bound, str) else _is_number(value)
        return comparable and compare(value, bound)

    return holds


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _all_of(parts: list[Predicate]) -> Predicate:
    if len(parts) == 1:
        return parts[0]

    def holds(values: Values) -> bool:
        for part in parts:  # noqa: SIM110 - all() over a generator costs twice as much, and this is the hot path
            if not part(values):
                return False
        return True

    return holds


def _any_of(parts: list[Predicate]) -> Predicate:
    if len(parts) == 1:
        return parts[0]

    def holds(values: Values) -> bool:
        for part in parts:  # noqa: SIM110 - as above
            if part(values):
                return True
        return False

    return holds


def _not(inner: Predicate) -> Predicate:
    return lambda values: not inner(values)


def _sample(agent: str, rule: str, fraction: float) -> Predicate:
    """Picks by multiply-shift hashing: the room is hashed once per offer, each rule only multiplies and adds.

    The odd factor makes that a permutation of all hashes, so a share is exact; factor and addend of the rule make the
    picks of two rules independent of each other.
    """
    threshold = int(fraction * (1 << HASH_BITS))
    key = stable_hash(f"{agent}\0{rule}", 2 * HASH_BITS)
    factor, addend = (key >> HASH_BITS) | 1, key & _HASH_MASK
    return lambda values: (values.room_hash * factor + addend) & _HASH_MASK < threshold
