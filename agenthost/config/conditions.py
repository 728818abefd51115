"""The condition of a rule (`when`) as a typed, frozen tree, and the parser that makes it from the file's plain data.

    when:                                   AllOf(
      room.name: ["support-*", "/^vip/"]      Matches(room.name, OneOf(Glob, Regex)),
      any: [{ time.hour: "8..18" }, …]        AnyOf(Matches(time.hour, …), …))

A mapping is an AND of its entries. `any` and `all` hold a list of such mappings, `not` one. An empty mapping always
holds. Pure; every problem is reported, and what could not be understood is left out of the tree.
"""

from collections.abc import Mapping

from msgspec import Struct

from agenthost.config.matcher_parsing import parse_fraction, parse_matcher
from agenthost.config.matchers import Matcher
from agenthost.config.nodes import Keys
from agenthost.config.problems import Problem
from agenthost.config.subjects import Subject, SubjectKind, parse_subject
from agenthost.jobs import JobType


class Matches(Struct, frozen=True, kw_only=True):
    """One subject, one matcher."""

    subject: Subject
    matcher: Matcher


class Sample(Struct, frozen=True, kw_only=True):
    """A share of the rooms, 0..1, the same rooms every time (a hash of agent, rule name and room name)."""

    fraction: float


class AllOf(Struct, frozen=True, kw_only=True):
    """Holds when all do; empty: always."""

    conditions: tuple["Condition", ...] = ()


class AnyOf(Struct, frozen=True, kw_only=True):
    conditions: tuple["Condition", ...]


class NotHolding(Struct, frozen=True, kw_only=True):
    """Holds when `condition` does not, be it for a missing value."""

    condition: "Condition"


Condition = Matches | Sample | AllOf | AnyOf | NotHolding

ALWAYS = AllOf()
GROUPS = ("any", "all", "not")
MAX_DEPTH = 32  # deeper nesting is no rule that a person wrote, and evaluation recurses


def parse_condition(data: object, path: Keys, job_type: JobType) -> tuple[Condition, list[Problem]]:
    """The condition that `data`, the value of a `when`, describes, with all problems in it.

    `path` is where `data` stands in the file; the paths of the problems begin with it. With problems, the condition
    is incomplete and must not be used to decide.
    """
    problems: list[Problem] = []
    condition = _parse_mapping(data, path, job_type, problems, depth=0)
    return condition, problems


def _parse_mapping(data: object, path: Keys, job_type: JobType, problems: list[Problem], depth: int) -> Condition:
    if not isinstance(data, Mapping):
        hint = "write a list under `any:`" if isinstance(data, list) else 'for example `{ room.name: "support-*" }`'
        problems.append(_shape(path, "a condition is a mapping of `path: matcher`", hint))
        return ALWAYS
    if depth > MAX_DEPTH:
        problems.append(_shape(path, f"conditions nest deeper than {MAX_DEPTH} levels", "write it flatter"))
        return ALWAYS
    parts = []
    for key, value in data.items():
        place = (*path, key)
        part = (
            _parse_group(key, value, place, job_type, problems, depth)
            if key in GROUPS
            else _parse_entry(str(key), value, place, job_type, problems)
        )
        if part is not None:
            parts.append(part)
    return parts[0] if len(parts) == 1 else AllOf(conditions=tuple(parts))


def _parse_group(
    key: str, value: object, path: Keys, job_type: JobType, problems: list[Problem], depth: int
) -> Condition | None:
    if key == "not":
        return NotHolding(condition=_parse_mapping(value, path, job_type, problems, depth + 1))
    if not isinstance(value, list) or not value:
        problems.append(_shape(path, f"`{key}` takes a list of conditions", f"write `{key}: [{{ … }}, {{ … }}]`"))
        return None
    parts = tuple(
        _parse_mapping(item, (*path, index), job_type, problems, depth + 1) for index, item in enumerate(value)
    )
    return AnyOf(conditions=parts) if key == "any" else AllOf(conditions=parts)


def _parse_entry(key: str, value: object, path: Keys, job_type: JobType, problems: list[Problem]) -> Condition | None:
    subject = parse_subject(key, path, job_type)
    if isinstance(subject, Problem):
        problems.append(subject)
        return None
    if subject.kind is SubjectKind.SAMPLE:
        fraction = parse_fraction(value, path, problems)
        return None if fraction is None else Sample(fraction=fraction)
    matcher = parse_matcher(value, path, subject, problems)
    return None if matcher is None else Matches(subject=subject, matcher=matcher)


def _shape(path: Keys, message: str, hint: str) -> Problem:
    return Problem(path=path, code="AH232", message=message, hint=hint)
