"""The identities that this host makes up for participants of its own, by room: who may be at the session topic.

Runs on the host's loop. An identity is a secret until somebody joins with it, since nobody else knows a name that was
never used. From then on the whole room can read it, and a front end that lets its users choose their identity would
give it to the next one, too: so it counts for the participant that came first, and for no other.
"""

import secrets
from collections.abc import Container, Mapping
from types import MappingProxyType

from msgspec import Struct

_NOBODY: Mapping[str, str] = MappingProxyType({})


class _Invited(Struct):
    """`sid` is "" until somebody has joined, which may be until `until`."""

    until: float
    sid: str = ""


class GuestList:
    """Times are of the monotonic clock."""

    def __init__(self) -> None:
        self._rooms: dict[str, dict[str, _Invited]] = {}

    def invite(self, room: str, *, until: float, now: float, busy: Container[str]) -> str:
        """An identity for `room`, to join with before `until`. Rooms that are not `busy` keep none that is too late."""
        for name in [name for name in self._rooms if name not in busy]:
            kept = {key: one for key, one in self._rooms[name].items() if one.until > now}
            self._rooms[name] = kept
            if not kept:
                del self._rooms[name]
        identity = f"guest-{secrets.token_urlsafe(16)}"
        self._rooms.setdefault(room, {})[identity] = _Invited(until=until)
        return identity

    def seen(self, room: str, identity: str, sid: str) -> None:
        """A job saw who joined; the first that is heard of stays."""
        invited = self._rooms.get(room, {}).get(identity)
        if invited is not None and not invited.sid:
            invited.sid = sid

    def of(self, room: str) -> Mapping[str, str]:
        """Every identity of `room` with its participant's sid, "" while nobody has joined."""
        invited = self._rooms.get(room)
        return {key: one.sid for key, one in invited.items()} if invited else _NOBODY
