"""Texts of `accept` with placeholders (`agent-{job.id}`): which exist, what they may hold, and their parts.

A placeholder is a path in single braces: `{job.*}`, `{room.*}`, `{participant.*}`, `{agent.id}`, `{agent.name}`.
Any other brace stands for itself, so that JSON can be written as it is. Pure.
"""

import difflib
import re
from collections.abc import Mapping

from msgspec import Struct

from agenthost.config.findings import Severity
from agenthost.config.nodes import Keys
from agenthost.config.problems import Problem
from agenthost.config.subjects import KINDS, Subject, SubjectKind, find_subject
from agenthost.jobs import JobType

AGENT_PLACEHOLDERS = ("agent.id", "agent.name")
UNIQUE_PLACEHOLDERS = ("job.id", "participant.identity")
RESERVED_PREFIX = "lk."

_PLACEHOLDER = re.compile(r"\{\s*([A-Za-z_][\w.:/-]*)\s*\}")
_DOUBLED = re.compile(r"\{\{\s*[A-Za-z_][\w.]*\s*\}\}")
_NEVER_CLOSED = re.compile(r"\{(?:job|room|participant|agent)\.[\w.]*+(?![\w.:/-]*+\s*+\})")
_TEMPLATE_KINDS = (SubjectKind.TEXT, SubjectKind.JSON, SubjectKind.ATTRIBUTE, SubjectKind.NUMBER)


class Placeholder(Struct, frozen=True, kw_only=True):
    """`name` as written, without braces. `subject` is None for those of `agent.`."""

    name: str
    subject: Subject | None


Part = str | Placeholder
"""A piece of a template: literal text, or a placeholder."""


def split_template(text: str) -> tuple[Part, ...]:
    """The pieces of `text`, in order. Unknown placeholders stay text: `check_template` has reported them."""
    parts: list[Part] = []
    end = 0
    for found in _PLACEHOLDER.finditer(text):
        placeholder = _find_placeholder(found[1])
        if placeholder is None:
            continue
        if found.start() > end:
            parts.append(text[end : found.start()])
        parts.append(placeholder)
        end = found.end()
    if end < len(text):
        parts.append(text[end:])
    return tuple(parts)


def check_template(text: str, path: Keys, job_type: JobType) -> list[Problem]:
    """Problems of one text of an `accept`; `path` is its place, the last key saying what it is.

    At `…, "identity"` it must tell jobs apart, at `…, "attributes", NAME` the name must be free to use.
    """
    problems = _check_placeholders(text, path, job_type)
    if path[-1:] == ("identity",) and not problems:  # a misspelt placeholder is one problem, not two
        problems += _check_identity(text, path, job_type)
    if path[-2:-1] == ("attributes",) and str(path[-1]).startswith(RESERVED_PREFIX):
        problems.append(
            Problem(
                path=path,
                code="AH241",
                message=f"attribute `{path[-1]}`: names that begin with `{RESERVED_PREFIX}` belong to LiveKit",
                hint="choose another name",
                at_key=True,
            )
        )
    return problems


def check_accept(data: Mapping[str, object], path: Keys, job_type: JobType) -> list[Problem]:
    """Problems of all texts in a file's `accept` mapping; values that are no text are passed over."""
    problems = []
    for key, value in data.items():
        place = (*path, key)
        if isinstance(value, str):
            problems += check_template(value, place, job_type)
        elif key == "attributes" and isinstance(value, Mapping):
            for name, text in value.items():
                problems += check_template(text, (*place, name), job_type) if isinstance(text, str) else []
    return problems


def _check_placeholders(text: str, path: Keys, job_type: JobType) -> list[Problem]:
    doubled = _DOUBLED.search(text)
    if doubled:
        single = re.sub(r"[{}\s]", "", doubled[0])
        return [_unknown(path, doubled[0], f"write single braces: `{{{single}}}`")]
    if open_one := _NEVER_CLOSED.search(text):
        message = f"the placeholder `{open_one[0]}` is never closed"
        return [Problem(path=path, code="AH240", message=message, hint=f"write `{open_one[0]}}}`")]
    problems = []
    for name in dict.fromkeys(found[1] for found in _PLACEHOLDER.finditer(text)):
        if _find_placeholder(name) is None:
            problems.append(_unknown(path, f"{{{name}}}", _suggest(name)))
        elif name.startswith("participant.") and job_type is JobType.ROOM:
            message = f"`{{{name}}}`: jobs of `type: room` have no participant"
            problems.append(Problem(path=path, code="AH240", message=message, hint="use `{room.*}` or `{job.*}`"))
    return problems


def _check_identity(text: str, path: Keys, job_type: JobType) -> list[Problem]:
    if not text.strip():
        message = "without an identity nobody can join a room"
        return [Problem(path=path, code="AH242", message=message, hint="write `agent-{job.id}`, or leave it out")]
    names = {part.name for part in split_template(text) if isinstance(part, Placeholder)}
    if job_type is not JobType.ROOM and not names.intersection(UNIQUE_PLACEHOLDERS):
        message = f"jobs of `type: {job_type.value}` share a room, and would push each other out with one identity"
        return [Problem(path=path, code="AH242", message=message, hint="add `{job.id}` or `{participant.identity}`")]
    if not names:
        message = f"identity `{text}` is the same for every job: a second one in a room pushes the first out"
        hint = "add `{job.id}`"
        return [Problem(path=path, code="AH243", message=message, hint=hint, severity=Severity.WARNING)]
    return []


def _find_placeholder(name: str) -> Placeholder | None:
    if name in AGENT_PLACEHOLDERS:
        return Placeholder(name=name, subject=None)
    subject = find_subject(name)
    if subject is None or subject.kind not in _TEMPLATE_KINDS or subject.root == "agent.jobs":
        return None
    if subject.kind is SubjectKind.ATTRIBUTE and not subject.keys:
        return None
    return Placeholder(name=name, subject=subject)


def _unknown(path: Keys, written: str, hint: str) -> Problem:
    return Problem(path=path, code="AH240", message=f"unknown placeholder `{written}`", hint=hint)


def _suggest(name: str) -> str:
    known = [
        f"{root}.NAME" if kind is SubjectKind.ATTRIBUTE else root
        for root, kind in KINDS.items()
        if kind in _TEMPLATE_KINDS and root != "agent.jobs"
    ]
    known += AGENT_PLACEHOLDERS
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.8) or _same_ending(name, known)
    if near:
        return f"did you mean `{{{near[0]}}}`?"
    group = [path for path in known if path.partition(".")[0] == name.partition(".")[0]]
    groups = ["job.*", "room.*", "participant.*", *AGENT_PLACEHOLDERS]
    return f"known are {', '.join(f'`{{{path}}}`' for path in group or groups)}"


def _same_ending(name: str, known: list[str]) -> list[str]:
    """The paths that end like `name` (`{identity}`, `{job.nmae}`): the root is what people get wrong."""
    endings = [path.rpartition(".")[2] for path in known]
    near = difflib.get_close_matches(name.rpartition(".")[2], endings, n=1, cutoff=0.7)
    return [path for path in known if near and path.endswith(f".{near[0]}")]
