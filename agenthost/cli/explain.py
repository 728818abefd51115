"""`agenthost explain [PATH|CODE]`: what a key of the file means, or a finding's code."""

import argparse
import json
import textwrap
from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from agenthost.cli import output
from agenthost.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from agenthost.config.explain import Explanation

_WIDTH = 80


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("explain", help="say what a key of the file or a finding's code means")
    parser.add_argument("topic", nargs="?", metavar="PATH|CODE", help="for example limits.memory, or AH120")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    from agenthost.config.explain import explain_code, explain_path

    if args.topic is None:
        _show_overview(args.format)
        return ExitCode.OK
    code = explain_code(args.topic)
    if code is not None:
        _show(args.format, [to_builtins(code)], [f"{code.code}  {code.title}", "", *_wrapped(code.text)])
        return ExitCode.OK
    explanations = _find(args.topic, explain_path)
    lines: list[str] = []
    for explanation in explanations:
        lines += [*([""] if lines else []), *_key_lines(explanation)]
    _show(args.format, [to_builtins(explanation) for explanation in explanations], lines)
    return ExitCode.OK


def _find(topic: str, explain_path: Any) -> "tuple[Explanation, ...]":
    from agenthost.config.explain import UnknownTopic

    try:
        found: tuple[Explanation, ...] = explain_path(topic)
    except UnknownTopic as error:
        hint = f"did you mean `{error.close}`?" if error.close else "`agenthost explain` lists the keys"
        raise UsageError(f"there is no key and no code `{topic}`; {hint}") from error
    return found


def _show(form: str, values: list[dict[str, Any]], lines: list[str]) -> None:
    if form == "json":
        output.line(json.dumps(values, indent=2, ensure_ascii=False))
    else:
        output.line("\n".join(lines))


def _show_overview(form: str) -> None:
    from agenthost.config.explain import overview

    groups = overview()
    lines: list[str] = []
    for title, rows in groups:
        lines += [*([""] if lines else []), *_wrapped(title), "", *_rows(rows)]
    values = [{"title": title, "keys": [{"key": key, "text": text} for key, text in rows]} for title, rows in groups]
    _show(form, values, [*lines, "", "`agenthost explain limits.memory` and the like say more."])


def _key_lines(entry: "Explanation") -> list[str]:
    lines = [entry.path, "", *_wrapped(entry.description), ""]
    facts = [("written as", entry.type), ("default", entry.default), ("a change is", _meaning(entry.apply))]
    for name, text in facts:
        if text:
            lines += _wrapped(text, first=f"  {name:<12} ", rest=" " * 15)
    for example in entry.examples:
        lines += _wrapped(f"{entry.path.rpartition('.')[2]}: {example}", first=f"  {'for example':<12} ", rest=" " * 15)
    if entry.keys:
        lines += ["", "Keys:", *_rows(entry.keys)]
    return lines


def _meaning(apply: str) -> str:
    from agenthost.config.fields import Apply

    return Apply(apply).meaning if apply else ""


def _rows(rows: tuple[tuple[str, str], ...]) -> list[str]:
    width = max(len(key) for key, _ in rows) + 2
    lines = []
    for key, text in rows:
        lines += _wrapped(text, first=f"  {key:<{width}}", rest=" " * (width + 2))
    return lines


def _wrapped(text: str, *, first: str = "", rest: str = "") -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
