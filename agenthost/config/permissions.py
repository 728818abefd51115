"""Permissions only ever get narrower: receiver ∩ target ∩ rule. For `hidden`, true is the narrower. Pure."""

from collections.abc import Mapping
from typing import Any

from msgspec.structs import asdict, replace

from agenthost.config.model import Permissions

HIDDEN = "hidden"
SOURCES = "can_publish_sources"


def restrict(first: Permissions, second: Permissions) -> Permissions:
    """What both allow."""
    return narrow(first, asdict(second))


def narrow(permissions: Permissions, written: Mapping[str, Any]) -> Permissions:
    """`permissions` with the keys of `written` taken away where those are narrower; a wider one changes nothing."""
    return replace(permissions, **{key: _narrower(key, getattr(permissions, key), written[key]) for key in written})


def widened(permissions: Permissions, written: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys of `written` that ask for more than `permissions` allow, and would have no effect."""
    return tuple(key for key in written if _narrower(key, getattr(permissions, key), written[key]) != written[key])


def _narrower(key: str, first: Any, second: Any) -> Any:
    if key == HIDDEN:
        return first or second
    if key == SOURCES:
        return _common_sources(first, second)
    return first and second


def _common_sources(first: tuple[str, ...] | None, second: tuple[str, ...] | None) -> tuple[str, ...] | None:
    if first is None or second is None:
        return second if first is None else first
    return tuple(source for source in second if source in first)
