"""The values of `agenthost.status` as JSON, and back: both ends of the control socket are of this package.

A command and its host may be of different versions (an upgrade while calls run): keys that the reader does not
know are left out, and fields that the writer did not send keep their defaults.
"""

import dataclasses
import json
import types
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

Value = TypeVar("Value")


def encode(value: object) -> str:
    """A frozen value of ours as JSON text."""
    return json.dumps(plain(value), ensure_ascii=False)


def plain(value: Any) -> Any:
    """A frozen value of ours as dicts, lists and scalars."""
    if dataclasses.is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value.value if isinstance(value, Enum) else value


def decode(kind: type[Value], text: str) -> Value:
    """The value of class `kind` that `encode` made `text` of. Raises ValueError when it is none."""
    try:
        return _revive(kind, json.loads(text))  # type: ignore[no-any-return]  # by the annotations of `kind`
    except (TypeError, AttributeError) as error:
        raise ValueError(f"no {kind.__name__}: {error}") from error


def _revive(kind: Any, data: Any) -> Any:
    if dataclasses.is_dataclass(kind):
        return _revive_fields(kind, data)
    if get_origin(kind) is tuple:
        (item_kind, _) = get_args(kind)  # only tuple[X, ...] is in use
        return tuple(_revive(item_kind, item) for item in data)
    if isinstance(kind, types.UnionType):
        (other,) = (one for one in get_args(kind) if one is not types.NoneType)
        return None if data is None else _revive(other, data)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(data)
    return data


def _revive_fields(kind: Any, data: Mapping[str, Any]) -> Any:
    hints = _hints(kind)
    return kind(**{name: _revive(hint, data[name]) for name, hint in hints.items() if name in data})


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}
