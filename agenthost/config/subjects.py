"""The paths that a rule's `when` may name, and what kind of value each one has.

    job.{id, type, metadata[.json.path], attributes.NAME, dispatch_id, deployment}
    room.{name, sid, metadata[.json.path], num_participants, max_participants, age}
    participant.{identity, name, kind, metadata[.json.path], attributes.NAME}      not for `type: room`
    agent.jobs    time.{hour, weekday, date}    sample

After `attributes.` the rest is one name, dots included (SIP attributes have them). Pure.
"""

import difflib
from enum import Enum, auto

from msgspec import Struct

from agenthost.config.nodes import Keys
from agenthost.config.problems import Problem
from agenthost.jobs import JobType


class SubjectKind(Enum):
    """What a subject's value is, which decides the matchers that make sense for it."""

    TEXT = auto()  # a string; empty counts as missing, for the server does not tell the two apart
    JSON = auto()  # whatever stands at that place of the JSON inside a metadata string
    ATTRIBUTE = auto()  # always a string, may be empty
    NUMBER = auto()
    SECONDS = auto()  # written as a duration
    HOUR = auto()  # 0..23 in the file's timezone
    WEEKDAY = auto()  # mon..sun
    DATE = auto()  # 2026-12-24
    SAMPLE = auto()  # a stable share of the rooms


class Subject(Struct, frozen=True, kw_only=True):
    """`root` is one of `KINDS`' names; `keys` leads into the JSON, or is the one attribute name."""

    root: str
    kind: SubjectKind
    keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        return ".".join((self.root, *self.keys))


KINDS: dict[str, SubjectKind] = {
    "job.id": SubjectKind.TEXT,
    "job.type": SubjectKind.TEXT,
    "job.metadata": SubjectKind.TEXT,
    "job.attributes": SubjectKind.ATTRIBUTE,
    "job.dispatch_id": SubjectKind.TEXT,
    "job.deployment": SubjectKind.TEXT,
    "room.name": SubjectKind.TEXT,
    "room.sid": SubjectKind.TEXT,
    "room.metadata": SubjectKind.TEXT,
    "room.num_participants": SubjectKind.NUMBER,
    "room.max_participants": SubjectKind.NUMBER,
    "room.age": SubjectKind.SECONDS,
    "participant.identity": SubjectKind.TEXT,
    "participant.name": SubjectKind.TEXT,
    "participant.kind": SubjectKind.TEXT,
    "participant.metadata": SubjectKind.TEXT,
    "participant.attributes": SubjectKind.ATTRIBUTE,
    "agent.jobs": SubjectKind.NUMBER,
    "time.hour": SubjectKind.HOUR,
    "time.weekday": SubjectKind.WEEKDAY,
    "time.date": SubjectKind.DATE,
    "sample": SubjectKind.SAMPLE,
}

CHOICES: dict[str, tuple[str, ...]] = {
    "job.type": tuple(job_type.value for job_type in JobType),
    "participant.kind": ("standard", "ingress", "egress", "sip", "agent", "connector", "bridge"),
}
"""Subjects with a closed set of values: any other literal would never match."""


def parse_subject(text: str, path: Keys, job_type: JobType) -> Subject | Problem:
    """The subject named by `text`, or why there is none; `path` is where `text` stands as a key."""
    subject = find_subject(text)
    if subject is None:
        return _unknown(text, path)
    if subject.kind is SubjectKind.ATTRIBUTE and not subject.keys:
        return Problem(
            path=path,
            code="AH230",
            message=f"`{text}` is all attributes, not one",
            hint=f"write `{subject.root}.NAME`",
            at_key=True,
        )
    if subject.root.startswith("participant.") and job_type is JobType.ROOM:
        return Problem(
            path=path,
            code="AH231",
            message=f"`{text}`: jobs of `type: room` have no participant",
            hint="use `room.*` or `job.*`, or make the agent `type: participant` or `publisher`",
            at_key=True,
        )
    return subject


def find_subject(text: str) -> Subject | None:
    """The subject that `text` names; None for an unknown path. `x.attributes` without a name has no keys."""
    kind = KINDS.get(text)
    if kind is not None:
        return Subject(root=text, kind=kind)
    root, part, inner = (*text.split(".", 2), "", "")[:3]
    name = f"{root}.{part}"
    if not inner or name not in KINDS:
        return None
    if KINDS[name] is SubjectKind.ATTRIBUTE:
        return Subject(root=name, kind=SubjectKind.ATTRIBUTE, keys=(inner,))
    keys = tuple(inner.split("."))
    if part == "metadata" and all(keys):
        return Subject(root=name, kind=SubjectKind.JSON, keys=keys)
    return None


def _unknown(text: str, path: Keys) -> Problem:
    suggestion = suggest_subject(text)
    near = [name for name in KINDS if name.startswith(f"{text.partition('.')[0]}.")]
    known = ", ".join(f"`{name}`" for name in near or KINDS)
    hint = f"did you mean `{suggestion}`?" if suggestion else f"known are {known}"
    return Problem(
        path=path,
        code="AH230",
        message=f"unknown path `{text}`",
        hint=hint,
        at_key=True,
        fix=suggestion or None,
    )


def suggest_subject(text: str) -> str:
    """The known path closest to `text`, its rest kept (`job.metdata.a` → `job.metadata.a`); "" if none is close."""
    parts = text.split(".")
    for length in (1, 2):
        head, tail = ".".join(parts[:length]), parts[length:]
        for candidate in (head, f"job.{head}", f"room.{head}"):
            name = _closest(candidate)
            if name and (not tail or name.endswith((".metadata", ".attributes"))):
                return ".".join(filter(None, (name, *tail)))
    return ""


def _closest(text: str) -> str:
    found = difflib.get_close_matches(text.lower(), KINDS, n=1, cutoff=0.75)
    return found[0] if found else ""
