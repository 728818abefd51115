"""Says what is wrong with a value that the schema refused: code, message, the right spelling, and a fix. Pure.

A message quotes a value only if it stands in the file in clear and its field is no secret.
"""

from collections.abc import Mapping

from msgspec import Struct

from agenthost.config.fields import Field, Kind
from agenthost.config.nodes import Node
from agenthost.config.scalars import quote, read_scalar, write_flow, write_scalar
from agenthost.config.suggestions import suggest_value
from agenthost.config.units import has_no_amount, suggest_duration, suggest_ratio, suggest_size


class Complaint(Struct, frozen=True, kw_only=True):
    """`replacement` is what the scalar should read instead; None where only the writer can know."""

    code: str
    message: str
    hint: str = ""
    replacement: str | None = None


_NOUNS = {
    Kind.TEXT: "a text",
    Kind.TEMPLATE: "a text",
    Kind.CALLABLE: "a text such as `package.module:attribute`",
    Kind.CHOICE: "one of a few words",
    Kind.FLAG: "`true` or `false`",
    Kind.COUNT: "a whole number",
    Kind.NUMBER: "a number",
    Kind.DURATION: "a duration such as `30s`",
    Kind.SIZE: "a size such as `512MB`",
    Kind.RATIO: "a ratio such as `70%`",
    Kind.TEXTS: "a list",
    Kind.LIST: "a list",
    Kind.TEXT_MAP: "a mapping",
    Kind.FREE_MAP: "a mapping",
    Kind.SECTION: "a mapping",
    Kind.CATALOG: "a mapping",
}

_MEASURES = {
    Kind.DURATION: ("AH120", "a duration", suggest_duration),
    Kind.SIZE: ("AH121", "a size", suggest_size),
    Kind.RATIO: ("AH122", "a ratio", suggest_ratio),
}


def complain(field: Field, node: Node) -> Complaint:
    """What to say about the value `node` of `field`, which the schema has refused."""
    takes_scalar = field.kind not in (
        Kind.TEXTS,
        Kind.LIST,
        Kind.TEXT_MAP,
        Kind.FREE_MAP,
        Kind.SECTION,
        Kind.CATALOG,
    )
    if not takes_scalar or not node.is_scalar:
        return _shape(field, node)
    if field.kind in _MEASURES:
        return _measure(field, node)
    match field.kind:
        case Kind.FLAG:
            return _flag(field, node)
        case Kind.COUNT | Kind.NUMBER:
            return _number(field, node)
        case Kind.CHOICE:
            return _choice(field, node)
        case _:
            return _text(field, node)


def _shape(field: Field, node: Node) -> Complaint:
    given = "a list" if node.items or node.value == () else "a mapping" if not node.is_scalar else "a single value"
    hint = ""
    if field.kind is Kind.CATALOG:
        hint = "write one `name: { … }` line for each"
    elif field.kind is Kind.LIST:
        hint = "start each item with `- `"
    elif field.kind in (Kind.SECTION, Kind.FREE_MAP, Kind.TEXT_MAP) and field.path:
        hint = "put `key: value` lines below it, indented"
        if field.examples and isinstance(field.examples[-1], Mapping):
            hint = f"for example `{field.name}: {write_flow(field.examples[-1])}`"
    elif field.kind is Kind.CALLABLE:
        hint = "write one `module:attribute`"
    return Complaint(code="AH110", message=f"`{_name(field, node)}` takes {_NOUNS[field.kind]}, not {given}", hint=hint)


def _measure(field: Field, node: Node) -> Complaint:
    code, noun, suggest = _MEASURES[field.kind]
    if field.positive and has_no_amount(node.value):
        message = f"`{_name(field, node)}` must be more than zero"
        return Complaint(code="AH112", message=message, hint="write more, or leave it out")
    suggestions = suggest(node.value)
    if field.kind is Kind.DURATION and isinstance(node.value, int) and str(field.default).endswith("ms"):
        suggestions = (f"{node.value}ms", f"{node.value}s")
    bare = isinstance(node.value, (int, float)) and not isinstance(node.value, bool)
    if bare and suggestions:
        message = f"{noun} needs a {'%' if field.kind is Kind.RATIO else 'unit'}"
    else:
        message = f"{_shown(field, node)} is not {noun}"
    words = "".join(f", or `{word}`" for word in field.words)
    if not suggestions:
        return Complaint(
            code=code, message=message, hint=f"for example {_NOUNS[field.kind].partition('such as ')[2]}{words}"
        )
    hint = f"write `{suggestions[0]}`"
    if len(suggestions) > 1:
        hint += f" (or `{suggestions[1]}`)"
    return Complaint(code=code, message=message, hint=hint, replacement=suggestions[0])


def _flag(field: Field, node: Node) -> Complaint:
    word = str(node.value).lower()
    meant = (
        "true"
        if word in ("yes", "on", "y", "1", "true")
        else "false"
        if word in ("no", "off", "n", "0", "false")
        else None
    )
    return Complaint(
        code="AH124",
        message=f"`{_name(field, node)}` takes `true` or `false`, not {_shown(field, node)}",
        hint=f"write `{meant}`" if meant else "write `true` or `false`",
        replacement=meant,
    )


def _number(field: Field, node: Node) -> Complaint:
    noun = _NOUNS[field.kind] + "".join(f" or `{word}`" for word in field.words)
    low, high = field.minimum, field.maximum
    value = node.value
    if (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and (field.kind is Kind.NUMBER or isinstance(value, int))
    ):
        bounds = (
            "more than 0"
            if field.positive
            else f"{low:g} or more"
            if low is not None and value < low
            else f"{high:g} or less"
        )
        return Complaint(code="AH112", message=f"`{_name(field, node)}` must be {bounds}", hint=f"write {bounds}")
    plain = read_scalar(value.lstrip("0") or "0") if isinstance(value, str) else None
    meant = write_scalar(plain) if isinstance(plain, int) and not isinstance(plain, bool) else None
    return Complaint(
        code="AH110",
        message=f"`{_name(field, node)}` takes {noun}, not {_shown(field, node)}",
        hint=f"write `{meant}`, without quotes and leading zeros" if meant else f"write {noun}",
        replacement=meant,
    )


def _choice(field: Field, node: Node) -> Complaint:
    allowed = ", ".join(f"`{choice}`" for choice in field.choices)
    meant = suggest_value(str(node.value), field.choices) if not node.references else ""
    return Complaint(
        code="AH111",
        message=f"{_shown(field, node)} is no value of `{_name(field, node)}`: {allowed}",
        hint=f"did you mean `{meant}`?" if meant else f"write one of {allowed}",
        replacement=meant or None,
    )


def _text(field: Field, node: Node) -> Complaint:
    if node.value is None:
        return Complaint(
            code="AH110", message=f"`{_name(field, node)}` takes a text, not nothing", hint='write "" for no text'
        )
    if field.path == "http.listen" and isinstance(node.value, int):
        message = f"`http.listen` takes an address and a port, not only {_shown(field, node)}"
        return Complaint(code="AH110", message=message, hint=f"write `0.0.0.0:{node.text}`, or `127.0.0.1:{node.text}`")
    return Complaint(
        code="AH110",
        message=f"`{_name(field, node)}` takes a text, and {_shown(field, node)} without quotes is none",
        hint=f"quote it: {quote(node.text)}" if not field.secret else "put it in quotes",
        replacement=quote(node.text),
    )


def _name(field: Field, node: Node) -> str:
    """What people call the key; entries of a mapping of texts by their own names."""
    name = field.path.replace("[]", "").replace(".*", "")
    if field.path.endswith(".*") and node.path and not field.path.startswith("agents"):
        name += f".{node.path[-1]}"
    return name or "the file"


def _shown(field: Field, node: Node) -> str:
    if field.secret or node.references:
        return "this value"
    text = node.text if len(node.text) <= 40 else node.text[:39] + "…"
    if node.quoted:
        text = f'"{text}"'
    return f"`{text}`" if text else "nothing"
