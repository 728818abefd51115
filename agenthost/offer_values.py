"""Reads the values that rules and placeholders ask for out of one offer: each at most once, only when asked.

`None` stands for a missing value: an empty string of the server's, an attribute that is not set, JSON that is broken
or does not have the key, JSON's `null`. Pure; runs in the host.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import blake2b
from types import MappingProxyType

from msgspec import Struct

from agenthost.config.matcher_scalars import WEEKDAYS
from agenthost.config.regexes import RegexSet
from agenthost.config.subjects import Subject, SubjectKind
from agenthost.jobs import EMPTY, Offer, ParticipantInfo, RoomInfo
from agenthost.texts import encodable

MAX_TEXT = 4096
"""Characters of a text that matchers see; what follows is cut off, so that no offer makes a decision slow."""

HASH_BITS = 64

_NOBODY = ParticipantInfo(identity="")
_UNREAD = object()
_NO_REGEXES: Mapping[int, RegexSet] = MappingProxyType({})


class Facts(Struct, frozen=True, kw_only=True):
    """What a decision depends on beside offer and rules.

    `now` is aware and in the file's timezone; `agent_jobs` counts the live jobs of the receiving agent on this host.
    """

    now: datetime
    agent_jobs: int


class Values:
    """The values of one offer: `value(i)` is that of `subjects[i]`, and `regex_sets[i]` are the regexes about it."""

    __slots__ = ("_documents", "_facts", "_hits", "_offer", "_regex_sets", "_room_hash", "_subjects", "_values")

    def __init__(
        self,
        offer: Offer,
        facts: Facts,
        subjects: tuple[Subject, ...] = (),
        regex_sets: Mapping[int, RegexSet] = _NO_REGEXES,
    ) -> None:
        self._offer = offer
        self._room_hash: int | None = None
        self._facts = facts
        self._subjects = subjects
        self._regex_sets = regex_sets
        self._hits: dict[int, frozenset[int]] = {}
        self._values: list[object] = [_UNREAD] * len(subjects)
        self._documents: dict[str, object] = {}

    @property
    def room_hash(self) -> int:
        """Of the room's name, `HASH_BITS` wide, the same on every machine: what `sample` picks by."""
        if self._room_hash is None:
            self._room_hash = stable_hash(self._offer.room.name, HASH_BITS)
        return self._room_hash

    def value(self, index: int) -> object:
        """None when missing; text is cut at `MAX_TEXT`."""
        value = self._values[index]
        if value is _UNREAD:
            value = self.read(self._subjects[index])
            if isinstance(value, str):
                value = value[:MAX_TEXT]
            self._values[index] = value
        return value

    def regex_hits(self, index: int) -> frozenset[int]:
        """Which of the regexes about `subjects[index]` are found in it; none when it is no text."""
        hits = self._hits.get(index)
        if hits is None:
            value = self.value(index)
            hits = self._regex_sets[index].hits(value) if isinstance(value, str) else frozenset()
            self._hits[index] = hits
        return hits

    def read(self, subject: Subject) -> object:
        """The whole value of any subject, None when it is missing."""
        match subject.kind:
            case SubjectKind.JSON:
                return _walk(self._document(subject.root), subject.keys)
            case SubjectKind.ATTRIBUTE:
                return _ATTRIBUTES[subject.root](self._offer).get(subject.keys[0])
            case SubjectKind.TEXT:
                return _TEXTS[subject.root](self._offer) or None
            case _:
                return _FIGURES[subject.root](self._offer, self._facts)

    def _document(self, root: str) -> object:
        if root not in self._documents:
            self._documents[root] = parse_json(_TEXTS[root](self._offer))
        return self._documents[root]


def stable_hash(text: str, bits: int) -> int:
    """The same number for a text on every machine and after every start, as long as `sample` shall pick alike."""
    return int.from_bytes(blake2b(encodable(text).encode(), digest_size=bits // 8).digest())


def parse_json(text: str) -> object:
    """What the JSON in `text` says; None where it is broken, too deep, or no JSON at all."""
    if not text:
        return None
    try:
        return _DECODER.decode(text)
    except (ValueError, RecursionError):
        return None


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def _walk(value: object, keys: tuple[str, ...]) -> object:
    for key in keys:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def _participant(offer: Offer) -> ParticipantInfo:
    return offer.participant or _NOBODY


def _age(room: RoomInfo, facts: Facts) -> float | None:
    return max(0.0, facts.now.timestamp() - room.created_at) if room.created_at else None


_TEXTS: dict[str, Callable[[Offer], str]] = {
    "job.id": lambda offer: offer.job_id,
    "job.type": lambda offer: offer.type.value,
    "job.metadata": lambda offer: offer.metadata,
    "job.dispatch_id": lambda offer: offer.dispatch_id,
    "job.deployment": lambda offer: offer.deployment,
    "room.name": lambda offer: offer.room.name,
    "room.sid": lambda offer: offer.room.sid,
    "room.metadata": lambda offer: offer.room.metadata,
    "participant.identity": lambda offer: _participant(offer).identity,
    "participant.name": lambda offer: _participant(offer).name,
    "participant.kind": lambda offer: offer.participant.kind if offer.participant else "",
    "participant.metadata": lambda offer: _participant(offer).metadata,
}

_ATTRIBUTES: dict[str, Callable[[Offer], Mapping[str, str]]] = {
    "job.attributes": lambda offer: offer.attributes,
    "participant.attributes": lambda offer: offer.participant.attributes if offer.participant else EMPTY,
}

_FIGURES: dict[str, Callable[[Offer, Facts], object]] = {
    "room.num_participants": lambda offer, facts: offer.room.num_participants,
    "room.max_participants": lambda offer, facts: offer.room.max_participants,
    "room.age": lambda offer, facts: _age(offer.room, facts),
    "agent.jobs": lambda offer, facts: facts.agent_jobs,
    "time.hour": lambda offer, facts: facts.now.hour,
    "time.weekday": lambda offer, facts: WEEKDAYS[facts.now.weekday()],
    "time.date": lambda offer, facts: facts.now.date().isoformat(),
}
