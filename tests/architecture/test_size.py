"""Modules and functions stay small enough to read in one go."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "agenthost"
MODULES = sorted(ROOT.rglob("*.py"))
LONGEST_MODULE = 300  # lines; the aim is 130
LONGEST_EXCEPTION = 400
EXCEPTIONS = 10  # so many may be longer than LONGEST_MODULE: a story that is cut for a ruler is harder to read
TABLES = {  # data, read by looking up
    "agenthost/config/agent_fields.py",
    "agenthost/config/codes.py",
    "agenthost/ipc/messages.py",
}
LONGEST_FUNCTION = 40
MEDIAN_MODULE = 150


def _name(path: Path) -> str:
    return path.relative_to(ROOT.parent).as_posix()


def _functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and length of every function, its docstring not counted: explaining a contract costs nothing."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0]
            documented = ast.get_docstring(node, clean=False) is not None
            docstring = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
            yield node.name, (node.end_lineno or 0) - node.lineno + 1 - docstring


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_module_is_short_and_says_what_it_owns(path: Path) -> None:
    """Bounded in length, functions of at most 40 lines, and a docstring that says whose business it is."""
    text = path.read_text()
    if _name(path) not in TABLES:
        assert len(text.splitlines()) <= LONGEST_EXCEPTION
        assert [(name, lines) for name, lines in _functions(path) if lines > LONGEST_FUNCTION] == []
    assert not text.strip() or ast.get_docstring(ast.parse(text)), "the module has no docstring"


def test_the_usual_module_is_a_page_or_two() -> None:
    """The ceilings are for the exceptions, and those are few."""
    lengths = {_name(path): len(path.read_text().splitlines()) for path in MODULES}
    assert sorted(lengths.values())[len(lengths) // 2] <= MEDIAN_MODULE
    long = {name for name, length in lengths.items() if length > LONGEST_MODULE} - TABLES
    assert len(long) <= EXCEPTIONS, sorted(long)


def test_no_module_is_called_after_nothing() -> None:
    """A module is named by what it owns."""
    vague = {"utils", "util", "helpers", "helper", "common", "misc", "core", "base", "manager"}
    # processes/base.py is about the base template, a process of ours
    named = {_name(path) for path in MODULES if path.stem in vague} - {"agenthost/processes/base.py"}
    assert named == set()
