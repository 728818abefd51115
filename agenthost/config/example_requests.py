"""The `request` of a test: an offer as a LiveKit server could make it, written by the paths that rules use.

    request: { room.name: vip-7, job.metadata: { tier: gold }, participant.attributes.sip.trunk: t-1, room.age: 5m }

What is not written has a plain value of its own, so that every placeholder but those of names, metadata and
attributes can be filled. Pure.
"""

import copy
import json
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from agenthost.config.matcher_scalars import MAX_NUMBER, shown
from agenthost.config.model import AgentConfig
from agenthost.config.nodes import Keys
from agenthost.config.problems import Problem
from agenthost.config.subjects import KINDS, Subject, SubjectKind, parse_subject
from agenthost.config.units import parse_duration
from agenthost.jobs import JobType, Offer, ParticipantInfo, RoomInfo

DEFAULT_TEXTS: Mapping[str, str] = {
    "job.id": "AJ_test",
    "room.name": "test-room",
    "room.sid": "RM_test",
    "participant.identity": "test-participant",
    "participant.kind": "standard",
}
_CODE = "AH225"


class ExampleRequest(Struct, frozen=True, kw_only=True):
    """The offer, and how many jobs the agent has at that moment."""

    offer: Offer
    agent_jobs: int


def parse_request(
    data: Mapping[str, object], path: Keys, receiver: AgentConfig, *, now: float
) -> tuple[ExampleRequest, list[Problem]]:
    """The request that `data`, at `path` of the file, describes for `receiver`, and all problems in it.

    `now` is the moment of the request in seconds since the epoch; a room is as old as `room.age` says, else new.
    """
    draft = _Draft(texts=dict(DEFAULT_TEXTS) | {"job.deployment": receiver.deployment})
    for key, value in data.items():
        problem = _take(key, value, (*path, key), receiver.type, draft)
        if problem is not None:
            draft.problems.append(problem)
    return draft.finish(receiver, now), draft.problems


class _Draft(Struct, kw_only=True):
    """What the entries have said so far, by the name of their subject."""

    texts: dict[str, str]
    documents: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, dict[str, str]] = field(default_factory=dict)
    figures: dict[str, float] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def finish(self, receiver: AgentConfig, now: float) -> ExampleRequest:
        offer = Offer(
            job_id=self.texts["job.id"],
            type=receiver.type,
            room=self._room(now),
            participant=None if receiver.type is JobType.ROOM else self._participant(),
            dispatch_id=self.texts.get("job.dispatch_id", ""),
            agent_name=receiver.agent_name,
            metadata=self._metadata("job.metadata"),
            attributes=self.attributes.get("job.attributes", {}),
            deployment=self.texts["job.deployment"],
        )
        return ExampleRequest(offer=offer, agent_jobs=int(self.figures.get("agent.jobs", 0)))

    def _room(self, now: float) -> RoomInfo:
        return RoomInfo(
            name=self.texts["room.name"],
            sid=self.texts["room.sid"],
            metadata=self._metadata("room.metadata"),
            num_participants=int(self.figures.get("room.num_participants", 0)),
            max_participants=int(self.figures.get("room.max_participants", 0)),
            created_at=now - self.figures.get("room.age", 0.0),
        )

    def _participant(self) -> ParticipantInfo:
        return ParticipantInfo(
            identity=self.texts["participant.identity"],
            name=self.texts.get("participant.name", ""),
            kind=self.texts["participant.kind"],
            metadata=self._metadata("participant.metadata"),
            attributes=self.attributes.get("participant.attributes", {}),
        )

    def _metadata(self, root: str) -> str:
        if root in self.documents:
            return json.dumps(self.documents[root], ensure_ascii=False)
        return self.texts.get(root, "")


def _take(key: str, value: object, path: Keys, job_type: JobType, draft: _Draft) -> Problem | None:
    """Put one entry into the draft, or say why not."""
    together = KINDS.get(key) is SubjectKind.ATTRIBUTE
    subject = parse_subject(f"{key}.NAME" if together else key, path, job_type)
    if isinstance(subject, Problem):
        return subject
    if together:
        return _take_attributes(key, value, path, draft)
    match subject.kind:
        case SubjectKind.TEXT:
            return _take_text(subject.root, value, path, job_type, draft)
        case SubjectKind.JSON:
            return _take_json(subject, value, path, draft)
        case SubjectKind.ATTRIBUTE:
            return _take_attribute(subject.root, subject.keys[0], value, path, draft)
        case SubjectKind.NUMBER | SubjectKind.SECONDS:
            return _take_figure(subject, value, path, draft)
        case SubjectKind.SAMPLE:
            return _refused(path, "`sample` cannot be chosen: it follows from the room's name", "choose `room.name`")
        case _:
            return _refused(path, f"`{key}` follows from the moment", "write `at: 2026-03-02T10:00:00+01:00`")


def _take_text(root: str, value: object, path: Keys, job_type: JobType, draft: _Draft) -> Problem | None:
    if root.endswith(".metadata") and isinstance(value, Mapping | list):
        if not _is_json(value):
            return _refused(path, f"`{root}` cannot be written as JSON", "write it as text")
        draft.documents[root] = copy.deepcopy(value)  # paths into it may follow, and the file may use it twice
        return None
    if not isinstance(value, str):
        return _refused(path, f"`{root}` is text", f'write `"{shown(value)}"`')
    if root == "job.type" and value != job_type.value:
        return _refused(path, f"the agent is of `type: {job_type.value}`", "leave `job.type` out")
    draft.texts[root] = value
    return None


def _take_json(subject: Subject, value: object, path: Keys, draft: _Draft) -> Problem | None:
    place = draft.documents.setdefault(subject.root, {})
    for key in subject.keys[:-1]:
        place = place.setdefault(key, {}) if isinstance(place, dict) else None
    if not isinstance(place, dict) or subject.root in draft.texts:
        return _refused(path, f"`{subject}` is inside something that is no mapping", "write one of the two")
    if not _is_json(value):
        return _refused(path, f"`{subject}` cannot be written as JSON", "write it as text")
    place[subject.keys[-1]] = value
    return None


def _is_json(value: object) -> bool:
    """Infinity and numbers of thousands of digits are not."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def _take_attributes(root: str, value: object, path: Keys, draft: _Draft) -> Problem | None:
    if not isinstance(value, Mapping):
        return _refused(path, f"`{root}` is a mapping of names to texts", f"write `{root}.NAME: text`")
    problems = (_take_attribute(root, name, text, (*path, name), draft) for name, text in value.items())
    return next((problem for problem in problems if problem is not None), None)


def _take_attribute(root: str, name: str, text: object, path: Keys, draft: _Draft) -> Problem | None:
    if not isinstance(text, str):
        return _refused(path, f"attributes are strings, and `{name}` is not", f'write `"{shown(text)}"`')
    draft.attributes.setdefault(root, {})[name] = text
    return None


def _take_figure(subject: Subject, value: object, path: Keys, draft: _Draft) -> Problem | None:
    if subject.kind is SubjectKind.SECONDS:
        try:
            draft.figures[subject.root] = parse_duration(value if isinstance(value, str) else "")
        except ValueError:
            return _refused(path, f"`{subject}` is a duration", "for example `5m`")
    elif isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_NUMBER:
        draft.figures[subject.root] = value
    else:
        return _refused(path, f"`{subject}` is a whole number", "for example `2`")
    return None


def _refused(path: Keys, message: str, hint: str) -> Problem:
    return Problem(path=path, code=_CODE, message=message, hint=hint)
