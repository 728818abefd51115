"""What the field table says about one key or code, for `agenthost explain` and the reference page. Pure."""

import difflib
import json
import re

from msgspec import Struct

from agenthost.config.codes import CODES, Code
from agenthost.config.fields import UNSET, Field, Kind, Spec, descend
from agenthost.config.host_fields import FILE
from agenthost.config.scalars import write_flow


class Explanation(Struct, frozen=True, kw_only=True):
    """One key. `path` has `*` for agent ids and `[]` for list items; texts are ready to be read."""

    path: str
    type: str
    default: str
    apply: str
    description: str
    examples: tuple[str, ...] = ()
    keys: tuple[tuple[str, str], ...] = ()


class UnknownTopic(Exception):
    """Neither a path of the file nor a code; `close` is what was probably meant, or empty."""

    def __init__(self, close: str) -> None:
        super().__init__(close)
        self.close = close


def explain_code(text: str) -> Code | None:
    """The finding code of this name, in whatever case."""
    return CODES.get(text.upper())


def explain_path(text: str) -> tuple[Explanation, ...]:
    """The key at a path as people write it (`agents.support.limits`, `requests.rules[0].when`).

    Two answers for the few keys that mean one thing for the host and another for an agent, and several for a last
    part alone (`memory`). Raises UnknownTopic.
    """
    wanted = _normal(text)
    found = [(path, spec, apply) for path, spec, apply in _all_fields() if _normal(path) == wanted]
    if not found and "." not in wanted:
        found = [entry for entry in _all_fields() if _normal(entry[0]).endswith(f".{wanted}")]
    if not found:
        paths = {_normal(path) for path, _, _ in _all_fields()}
        close = difflib.get_close_matches(wanted, sorted(paths), n=1, cutoff=0.6)
        raise UnknownTopic(close[0] if close else "")
    return tuple(_explanation(path, spec, apply) for path, spec, apply in found)


def topics() -> tuple[str, ...]:
    """Every key as one would ask for it, each once: `limits.memory`."""
    return tuple(dict.fromkeys(_normal(path).replace(".*", "") for path, _, _ in _all_fields()))


def overview() -> tuple[tuple[str, tuple[tuple[str, str], ...]], ...]:
    """Every top-level key with its first sentence, in two groups."""
    agent = FILE.children["agents"].children
    host = {name: spec for name, spec in FILE.children.items() if agent.get(name) is not spec}
    return (
        ("Keys of the host, at the top of the file", _lines(host)),
        ("Keys of an agent; at the top of the file they are the defaults of all agents", _lines(agent)),
    )


def every_explanation() -> tuple[Explanation, ...]:
    """All keys, parents first: host, then agent."""
    return tuple(_explanation(path, spec, apply) for path, spec, apply in _all_fields())


def _all_fields() -> list[tuple[str, Spec, str]]:
    """(path, spec, apply) of every key once; agent keys under the path of an agent."""
    agent = FILE.children["agents"]
    host = {name: spec for name, spec in FILE.children.items() if agent.children.get(name) is not spec}
    without = {name: Spec(field=spec.field) if name in ("agents", "profiles") else spec for name, spec in host.items()}
    rows = [("", path, spec) for path, spec in descend(Spec(field=FILE.field, children=without))]
    rows += [("agents.*.", path, spec) for path, spec in descend(agent)]
    inherited: dict[str, str] = {}
    fields = []
    for prefix, path, spec in rows:
        full = prefix + path
        parent = re.sub(r"(\[\]|\.\*)$", "", full.rpartition(".")[0])
        inherited[full] = spec.field.apply.value if spec.field.apply else inherited.get(parent, "")
        fields.append((full, spec, inherited[full]))
    return fields


def _explanation(path: str, spec: Spec, apply: str) -> Explanation:
    field = spec.field
    return Explanation(
        path=path,
        type=type_text(field),
        default=default_text(field),
        apply=apply,
        description=field.description,
        examples=tuple(_example(example) for example in field.examples),
        keys=_lines(spec.children) if field.kind is not Kind.CATALOG else (),
    )


def type_text(field: Field) -> str:
    """How the value is written."""
    text = field.kind.value
    if field.kind is Kind.CHOICE:
        text = " · ".join(field.choices)
    elif field.choices:
        text += f" ({', '.join(field.choices)})"
    if field.minimum is not None and field.kind is Kind.COUNT:
        text += f", {field.minimum:g}" + (f" to {field.maximum:g}" if field.maximum is not None else " or more")
    return text + "".join(f", or `{word}`" for word in field.words)


def default_text(field: Field) -> str:
    """What holds when nobody wrote the key."""
    if field.required:
        return "required"
    if field.default_text:
        return field.default_text
    if field.kind is Kind.SECTION and field.path:
        return ""
    text = _literal(field.default)
    if field.dev_default is not UNSET:
        text += f"; under `dev` {_literal(field.dev_default)}"
    return text


def _literal(value: object) -> str:
    if value is None:
        return "none"
    if isinstance(value, str):
        return f"`{value}`" if value else '`""`'
    return f"`{json.dumps(list(value) if isinstance(value, tuple) else value)}`"


def _example(value: object) -> str:
    return value if isinstance(value, str) and value else write_flow(value)


def _lines(children: object) -> tuple[tuple[str, str], ...]:
    items = children.items() if hasattr(children, "items") else ()
    return tuple((name, _first_sentence(spec.field.description)) for name, spec in items)


def _first_sentence(text: str) -> str:
    return re.split(r"(?<=[.;:])\s(?=(?:[^`]*`[^`]*`)*[^`]*$)", text, maxsplit=1)[0].rstrip(".;:")


def _normal(path: str) -> str:
    """A path without what differs from file to file: `agents.support.limits` and `limits` are the same key."""
    plain = re.sub(r"\[\d*\]", "", path.strip()).removeprefix(".")
    plain = re.sub(r"^profiles\.[^.]+\.", "", plain)
    return re.sub(r"^agents\.[^.]+\.", "", plain)
