"""Checks canonical data with jsonschema and turns each error into one finding that speaks the file's language."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from agenthost.config.collector import Collector, rename, rewrite
from agenthost.config.fields import Spec
from agenthost.config.host_fields import FILE
from agenthost.config.json_schema import canonical_schema, formats, has_format
from agenthost.config.nodes import Keys, Node, data, dotted, find, nearest
from agenthost.config.suggestions import suggest_key
from agenthost.config.values import complain

if TYPE_CHECKING:
    from jsonschema import ValidationError


MOST_SUGGESTIONS = 100
"""For so many unknown keys of one section it is looked up what they were meant to be (about 5 ms each)."""


def check_schema(root: Node, findings: Collector) -> None:
    """Report every value of the canonical tree `root` that has no place or the wrong shape."""
    for error in _errors(data(root)):
        path: Keys = tuple(error.absolute_path)
        match error.validator:
            case "additionalProperties":
                _report_unknown(root, path, findings)
            case "required":
                _report_missing(root, path, findings)
            case _:
                _report_value(root, path, findings)


def spec_at(path: Keys) -> Spec | None:
    """The spec of the field at a path of the canonical tree; None inside free mappings."""
    spec: Spec | None = FILE
    for step in path:
        spec = spec.child(step) if spec else None
    return spec


def _errors(instance: object) -> "Iterator[ValidationError]":
    # Imported here: the commands that read no file shall not pay for it.
    from jsonschema import Draft202012Validator, FormatChecker

    checker = FormatChecker(formats=())
    for name, field in formats().items():
        checker.checks(name)(lambda value, field=field: has_format(value, field))
    return Draft202012Validator(canonical_schema(), format_checker=checker).iter_errors(instance)


def _report_unknown(root: Node, path: Keys, findings: Collector) -> None:
    section, spec = find(root, path), spec_at(path)
    if section is None or spec is None:
        return
    unknown = {key: node for key, node in section.entries.items() if key not in spec.children}
    for number, (key, node) in enumerate(unknown.items()):
        where = f"in {dotted(section.path)}" if section.path else "at the top level"
        if key == "session":
            hint = "write an `entrypoint`"
            findings.about(
                "AH105", "`session` (an agent without code) comes in a later version", node, at_key=True, hint=hint
            )
            continue
        if key.startswith("x-"):
            hint = "`x-…` keys stand at the top level"
            findings.about("AH101", f"unknown key `{key}` {where}", node, at_key=True, hint=hint)
            continue
        if number >= MOST_SUGGESTIONS:
            findings.about("AH101", f"unknown key `{key}` {where}", node, at_key=True)
            continue
        suggestion = suggest_key(key, spec, section.entries)
        code = "AH103" if suggestion.foreign else "AH101"
        fix = rename(node, suggestion.rename) if suggestion.rename else None
        findings.about(code, f"unknown key `{key}` {where}", node, at_key=True, hint=suggestion.hint, fix=fix)


def _report_missing(root: Node, path: Keys, findings: Collector) -> None:
    section, spec = find(root, path), spec_at(path)
    if section is None or spec is None:
        return
    unknown = [key for key in section.entries if key not in spec.children]
    probably = {suggest_key(key, spec, section.entries).rename for key in unknown}
    for name, child in spec.children.items():
        # A misspelt key is one problem, not two: the unknown one is reported, the missing one is its consequence.
        if child.field.required and name not in section.entries and name not in probably:
            message = f"`{name}` is missing in {dotted(section.path)}"
            findings.about("AH114", message, section, hint=f"add `{name}: …`")


def _report_value(root: Node, path: Keys, findings: Collector) -> None:
    node, spec = nearest(root, path), spec_at(path)
    if spec is None:
        return
    complaint = complain(spec.field, node)
    fix = None
    if complaint.replacement is not None and not node.references:
        fix = rewrite(node, complaint.replacement)
    findings.about(complaint.code, complaint.message, node, hint=complaint.hint, fix=fix)
