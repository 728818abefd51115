"""What is different between two values of the configuration, and how that is told. Pure.

A value is told the way one would write it, but never one that may be a secret (`config.masking.withheld`): of that,
only that it changed. Long texts are cut to the place where they begin to differ.
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import PurePath

from msgspec import Struct
from msgspec.structs import asdict

from agenthost.config.fields import Field, Kind, Spec, fields_along
from agenthost.config.masking import without_userinfo
from agenthost.config.model import Restart, RuleConfig
from agenthost.config.scalars import write_flow
from agenthost.config.units import format_duration, format_size

NOT_TOLD = "changed, values not shown"
_NOT_COMPARED = frozenset({"place", "id", "written", "withheld"})
_LONGEST = 48  # characters of a value; two of them and a path fit into a line of 120 columns
_BEFORE = 12  # characters that are told before the first difference of two long texts


class Part(Enum):
    """What a piece of a told difference is, for those who have colours."""

    WHAT = "what"
    OLD = "old"
    NEW = "new"
    OTHER = "other"


class Difference(Struct, frozen=True, kw_only=True):
    """One thing that is another now. `path` is a key in the file's spelling, or a word for what is no key (`code`).

    `old` and `new` are the values as one would write them, "" where there is none, or where `note` stands instead:
    which files, which variables, or that the value is not told.
    """

    path: str
    old: str = ""
    new: str = ""
    note: str = ""

    @property
    def parts(self) -> tuple[tuple[str, Part], ...]:
        """`load.cpu: 70% → 80%`, piece by piece; `+` before what came, `-` before what went."""
        if self.old and self.new:
            values = [(self.old, Part.OLD), (" → ", Part.OTHER), (self.new, Part.NEW)]
        else:
            values = [(f"- {self.old}", Part.OLD)] if self.old else []
            values += [(f"+ {self.new}", Part.NEW)] if self.new else []
        values += [(self.note, Part.OTHER)] if self.note else []
        return ((self.path, Part.WHAT), *([(": ", Part.OTHER), *values] if values else []))


class _Absent(Enum):
    ABSENT = "absent"


def differences(
    old: object, new: object, spec: Spec, *, withheld: frozenset[str] = frozenset(), path: str = ""
) -> Iterator[Difference]:
    """Every key below `path` at which two values of one kind differ; positions in the file do not count.

    `spec` is what the field table says of all keys, `withheld` the paths whose values must not be told.
    """
    old, new = _as_written(old), _as_written(new)
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in (*old, *(key for key in new if key not in old)):
            below = f"{path}.{key}" if path else str(key)
            before, after = old.get(key, _Absent.ABSENT), new.get(key, _Absent.ABSENT)
            yield from differences(before, after, spec, withheld=withheld, path=below)
    elif _are_rules(old, new):
        yield from _between_rules(old, new, path)  # type: ignore[arg-type]  # _are_rules has looked
    elif old != new:
        field = next(reversed([*fields_along(spec, path)]), None)
        yield _told(old, new, path, field, withheld)


def _as_written(value: object) -> object:
    """Sections as mappings, by the keys of the file."""
    if isinstance(value, Restart):
        policy = "on-failure" if value.on_failure else "never"
        return {"policy": policy, "attempts": value.attempts, "backoff": value.backoff}
    if isinstance(value, Struct) and not isinstance(value, RuleConfig):
        return {key: item for key, item in asdict(value).items() if key not in _NOT_COMPARED}
    return value


def _are_rules(old: object, new: object) -> bool:
    both = (old, new)
    return all(isinstance(one, tuple) and all(isinstance(rule, RuleConfig) for rule in one) for one in both)


def _between_rules(old: tuple[RuleConfig, ...], new: tuple[RuleConfig, ...], path: str) -> Iterator[Difference]:
    """By their names: added, removed, edited, and moved ones."""
    before, after = ({_name(rule, index): rule for index, rule in enumerate(rules)} for rules in (old, new))
    for name in (*before, *(name for name in after if name not in before)):
        one, other = before.get(name), after.get(name)
        if one is None or other is None or any(_parts(one)[key] != value for key, value in _parts(other).items()):
            texts = _cut(one.text if one is not None else "", other.text if other is not None else "")
            note = NOT_TOLD if texts[0] == texts[1] else ""
            yield Difference(
                path=f"{path}.{name}", old="" if note else texts[0], new="" if note else texts[1], note=note
            )
    kept, still = ([name for name in rules if name in before and name in after] for rules in (before, after))
    if kept != still:
        yield Difference(path=path, note=f"order: {', '.join(after)}")


def _name(rule: RuleConfig, index: int) -> str:
    return rule.name or f"[{index}]"


def _parts(rule: RuleConfig) -> dict[str, object]:
    return {key: value for key, value in asdict(rule).items() if key not in ("place", "text")}


def _told(old: object, new: object, path: str, field: Field | None, withheld: frozenset[str]) -> Difference:
    hidden = any(one == path or one.startswith((f"{path}.", f"{path}[")) for one in withheld)
    if hidden or (field is not None and field.secret):
        return Difference(path=path, note=NOT_TOLD)
    before, after = _cut(_spelled(old, field), _spelled(new, field))
    return Difference(path=path, old=before, new=after)


def _spelled(value: object, field: Field | None) -> str:
    kind = field.kind if field is not None else None
    match value:
        case _Absent.ABSENT:
            return ""
        case None:
            return "all" if field is not None and "all" in field.words else "none"
        case float() if kind is Kind.DURATION:
            return format_duration(value)
        case int() if kind is Kind.SIZE:
            return format_size(value)
        case float() if kind is Kind.RATIO:
            return f"{value * 100:g}%"
        case _:
            return write_flow(_plain(value))


def _plain(value: object) -> object:
    """As the file could say it."""
    value = _as_written(value)
    match value:
        case Enum():
            return value.value
        case PurePath():
            return str(value)
        case str():
            return without_userinfo(value)
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case tuple() | list():
            return [_plain(item) for item in value]
        case _:
            return value


def _cut(old: str, new: str) -> tuple[str, str]:
    """Both texts, or where they begin to differ."""
    alike = next((index for index, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    longest = _LONGEST if old and new else 2 * _LONGEST
    start = alike - _BEFORE if max(len(old), len(new)) > longest and alike > _LONGEST // 2 else 0
    return _part(old, start, longest), _part(new, start, longest)


def _part(text: str, start: int, longest: int) -> str:
    text = f"…{text[start:]}" if start and text else text
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
