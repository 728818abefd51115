"""What one scalar of a rule means, by the kind of its subject: text, glob, `/regex/`, number, range, day, date.

Ranges include both ends; only an hour's end is a clock time, so that `"8..18"` is 8:00 to 17:59. Ranges of hours and
weekdays may run over midnight and over Sunday (`"22..6"`, `"sat..mon"`). Pure.
"""

import datetime
import difflib
import re
from collections.abc import Callable
from typing import TypeGuard, TypeVar

from agenthost.config.matchers import Compare, Equals, Every, Glob, Matcher, OneOf, Order, Regex
from agenthost.config.regexes import regex_problem
from agenthost.config.subjects import CHOICES, Subject, SubjectKind
from agenthost.config.units import parse_duration, parse_ratio, suggest_duration, suggest_ratio

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WILDCARDS = frozenset("*?[")
MAX_NUMBER = 1e18  # beyond it neither a count nor what people put into metadata
MAX_SHOWN = 60

_NUMBER = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?")
_RANGE = re.compile(r"\s*(\S+?)\s*\.\.\s*(\S+)\s*")
_REGEX = re.compile(r"/(.*)/", re.DOTALL)
_FLAGGED_REGEX = re.compile(r"/.*[\^$(\[+|\\].*/[gimsuy]+", re.DOTALL)

_Bound = TypeVar("_Bound", float, str)


class Refused(Exception):
    """A matcher cannot be understood; holds what a `Problem` needs but its path."""

    def __init__(self, message: str, hint: str = "", *, code: str = "AH233", fix: str | None = None) -> None:
        super().__init__(message)
        self.message, self.hint, self.code, self.fix = message, hint, code, fix


def shown(data: object) -> str:
    """`data` for a message: one line, and not a long one."""
    if isinstance(data, int) and abs(data) >= MAX_NUMBER:
        return "a very large number"
    text = " ".join(str(data).split())
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"


def read_scalar(data: object, subject: Subject) -> Matcher:
    """The matcher that the scalar `data` stands for; `Refused` when it can never match, or means nothing."""
    if data is None:
        raise Refused(f"`null` is no value that `{subject}` can have", "for a missing value write `{ exists: false }`")
    return _READERS[subject.kind](data, subject)


def read_exact(data: object, subject: Subject) -> Equals:
    """One value of `in`: its text is never read as a glob, a regex or a range."""
    if isinstance(data, str) and subject.kind in (SubjectKind.TEXT, SubjectKind.ATTRIBUTE, SubjectKind.JSON):
        return _exact_text(data, subject)
    matcher = read_scalar(data, subject)
    if not isinstance(matcher, Equals):
        raise Refused("`in` takes exact values only", "a list without `in` may hold patterns and ranges")
    return matcher


def read_bound(data: object, subject: Subject) -> float | str:
    """The right side of gt, ge, lt, le: a number (seconds for a duration), or a date as ISO text."""
    match subject.kind:
        case SubjectKind.SECONDS:
            return _as_seconds(data, subject)
        case SubjectKind.DATE:
            return _as_date(data, subject)
        case SubjectKind.NUMBER | SubjectKind.HOUR | SubjectKind.JSON:
            return _as_number(data, subject)
        case SubjectKind.ATTRIBUTE:
            raise Refused(
                f"attributes are strings: `{subject}` has no order", "list the texts that match", code="AH234"
            )
        case _:
            raise Refused(f"`{subject}` has no order", "use a pattern or a list")


def read_fraction(data: object) -> float:
    """The share 0..1 that `sample` is given, as `10%` or `0.1`."""
    try:
        if isinstance(data, str | float | int):
            return parse_ratio(data)
    except ValueError:
        pass  # said below, with a way out
    spellings = suggest_ratio(data)
    hint = f"write `{spellings[0]}`" if spellings else "write `10%` or `0.1`"
    fix = spellings[0] if spellings else None
    raise Refused("`sample` is a share of the rooms, 0% to 100%", hint, code="AH233", fix=fix)


# ── text ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _read_text(data: object, subject: Subject) -> Matcher:
    if not isinstance(data, str):
        raise _not_text(data, subject)
    if _number_range(data):
        exact = f'for this very text write `{{ in: ["{data}"] }}`'
        raise Refused(f"a range compares numbers, and `{subject}` is text", exact)
    return _pattern(data, subject)


def _not_text(data: object, subject: Subject) -> Refused:
    written = str(data).lower() if isinstance(data, bool) else shown(data)
    what = "attributes are strings" if subject.kind is SubjectKind.ATTRIBUTE else f"`{subject}` is text"
    return Refused(f"{what}: `{written}` never equals one", f'write `"{written}"`', code="AH234", fix=f'"{written}"')


def _pattern(data: str, subject: Subject) -> Matcher:
    if _FLAGGED_REGEX.fullmatch(data):
        raise Refused("a regex takes no flags after its last `/`", "write them inside: `/(?i)^vip/`", code="AH235")
    if len(data) > 1 and (found := _REGEX.fullmatch(data)):
        return _regex(found[1])
    return _exact_text(data, subject) if WILDCARDS.isdisjoint(data) else Glob(text=data)


def _exact_text(data: str, subject: Subject) -> Equals:
    if not data and subject.kind is SubjectKind.TEXT:
        raise Refused(f"an empty `{subject}` counts as missing", "write `{ exists: false }`")
    choices = CHOICES.get(str(subject), ())
    if choices and data not in choices:
        raise _no_choice(data, choices, f"`{subject}`")
    return Equals(value=data)


def _no_choice(data: object, choices: tuple[str, ...], what: str) -> Refused:
    near = difflib.get_close_matches(str(data).lower(), choices, n=1)
    if near:
        return Refused(f"{what} is never `{shown(data)}`", f"did you mean `{near[0]}`?", fix=near[0])
    return Refused(f"{what} is never `{shown(data)}`", f"one of {', '.join(choices)}")


def _regex(pattern: str) -> Regex:
    problem = regex_problem(pattern)
    if problem:
        hint = "rules use RE2 syntax, which always ends in time: no look-around, no back-references"
        if problem.startswith(("missing", "unexpected")):
            hint = "close it, or write a `\\` before what shall stand for itself (rules use RE2 syntax)"
        raise Refused(f"this regex cannot be used: {problem}", hint, code="AH235")
    return Regex(pattern=pattern)


def _read_json(data: object, subject: Subject) -> Matcher:
    if isinstance(data, bool) or _is_finite(data):
        return Equals(value=data)
    if not isinstance(data, str):
        raise Refused(f"`{shown(data)}` is no value that a rule can compare with", 'write it as text: `"…"`')
    if found := _number_range(data):
        return _between(float(found[0]), float(found[1]))
    return _pattern(data, subject)


# ── numbers and times ────────────────────────────────────────────────────────────────────────────────────────


def _read_number(data: object, subject: Subject) -> Matcher:
    return _bounded(data, subject, _as_number)


def _read_seconds(data: object, subject: Subject) -> Matcher:
    matcher = _bounded(data, subject, _as_seconds)
    if isinstance(matcher, Equals):
        raise Refused(f"`{subject}` is never exactly {data}", f"write `{{ gt: {data} }}` or `{{ lt: {data} }}`")
    return matcher


def _read_hour(data: object, subject: Subject) -> Matcher:
    if isinstance(data, str) and (found := _RANGE.fullmatch(data)):
        first, end = _as_hour(found[1], subject, last=23), _as_hour(found[2], subject, last=24)
        if first == end:
            raise Refused(f"`{data}` is no time at all", f"for one hour write `{first}..{first + 1}`")
        length = (end - first) % 24 or 24
        return OneOf(matchers=tuple(Equals(value=(first + step) % 24) for step in range(length)))
    return Equals(value=_as_hour(data, subject, last=23))


def _read_weekday(data: object, subject: Subject) -> Matcher:
    if isinstance(data, str) and (found := _RANGE.fullmatch(data)):
        first, last = _as_weekday(found[1], subject), _as_weekday(found[2], subject)
        days = (WEEKDAYS[(first + step) % 7] for step in range((last - first) % 7 + 1))
        return OneOf(matchers=tuple(Equals(value=day) for day in days))
    return Equals(value=WEEKDAYS[_as_weekday(data, subject)])


def _read_date(data: object, subject: Subject) -> Matcher:
    if isinstance(data, str) and not WILDCARDS.isdisjoint(data):
        return Glob(text=data)
    if isinstance(data, str) and (found := _RANGE.fullmatch(data)):
        return _between(_as_date(found[1], subject), _as_date(found[2], subject))
    return Equals(value=_as_date(data, subject))


def _read_sample(data: object, subject: Subject) -> Matcher:
    raise Refused(f"`{subject}` stands alone: a share of the rooms", "write `sample: 10%`")


_READERS: dict[SubjectKind, Callable[[object, Subject], Matcher]] = {
    SubjectKind.TEXT: _read_text,
    SubjectKind.ATTRIBUTE: _read_text,
    SubjectKind.JSON: _read_json,
    SubjectKind.NUMBER: _read_number,
    SubjectKind.SECONDS: _read_seconds,
    SubjectKind.HOUR: _read_hour,
    SubjectKind.WEEKDAY: _read_weekday,
    SubjectKind.DATE: _read_date,
    SubjectKind.SAMPLE: _read_sample,
}


def _bounded(data: object, subject: Subject, read: Callable[[object, Subject], float]) -> Matcher:
    if isinstance(data, str) and (found := _RANGE.fullmatch(data)):
        return _between(read(found[1], subject), read(found[2], subject))
    return Equals(value=read(data, subject))


def _between(low: _Bound, high: _Bound) -> Matcher:
    if low > high:
        raise Refused("this range is empty: its end lies before its start", "write the smaller end first")
    return Every(matchers=(Compare(order=Order.GE, bound=low), Compare(order=Order.LE, bound=high)))


def _number_range(text: str) -> tuple[str, str] | None:
    found = _RANGE.fullmatch(text)
    return (found[1], found[2]) if found and _NUMBER.fullmatch(found[1]) and _NUMBER.fullmatch(found[2]) else None


def _is_finite(data: object) -> TypeGuard[int | float]:
    return isinstance(data, int | float) and abs(data) < MAX_NUMBER


def _as_number(data: object, subject: Subject) -> float:
    if isinstance(data, str) and _NUMBER.fullmatch(data.strip()):
        return float(data)
    if _is_finite(data) and not isinstance(data, bool):
        return float(data)
    raise Refused(
        f"`{subject}` is compared with numbers, not with `{shown(data)}`", 'for example `{ ge: 2 }` or `"2..5"`'
    )


def _as_seconds(data: object, subject: Subject) -> float:
    try:
        return parse_duration(data if isinstance(data, str) else "")
    except ValueError:
        spelling = next(iter(suggest_duration(data)), "")
        hint = f"write `{spelling}`" if spelling else "a duration has a unit: `5m`, `90s`, `1h30m`"
        what = f"`{subject}` is compared with durations, not with `{shown(data)}`"
        raise Refused(what, hint, fix=spelling or None) from None


def _as_hour(data: object, subject: Subject, *, last: int) -> int:
    hour = int(data) if isinstance(data, str) and re.fullmatch("[0-9]{1,2}", data.strip()) else data
    if isinstance(hour, int) and not isinstance(hour, bool) and 0 <= hour <= last:
        return hour
    raise Refused(f"`{subject}` is a whole hour, 0 to 23, not `{shown(data)}`", 'for example `"8..18"`: 8:00 to 17:59')


def _as_weekday(data: object, subject: Subject) -> int:
    if data not in WEEKDAYS:
        raise _no_choice(data, WEEKDAYS, f"`{subject}`")
    return WEEKDAYS.index(data)


def _as_date(data: object, subject: Subject) -> str:
    try:
        return datetime.date.fromisoformat(str(data)).isoformat()
    except ValueError:
        raise Refused(f"`{shown(data)}` is no date", "write `2026-12-24`, or a pattern such as `*-12-24`") from None
