"""The static import check: what surely is not there is found, what only running could tell is let through."""

from pathlib import Path

import pytest

from agenthost.config.imports import Expectation, check_reference

CODE = """
import json as parser
from os import path
try:
    import uvloop
except ImportError:
    uvloop = None
async def entrypoint(ctx): ...
def plain(ctx): ...
def returning(ctx): return entrypoint(ctx)
@decorated
def wrapped(ctx): ...
server = make_server()
if condition:
    async def conditional(ctx): ...
for looped in (): pass
with opened() as resource: pass
text = "no function"
first, *others = 1, 2
class Agent:
    async def method(self, ctx): ...
"""
COROUTINE = Expectation(whole_module=True, coroutine=True)
CALLABLE = Expectation()


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "static_code.py").write_text(CODE)
    package = tmp_path / "static_package"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "module.py").write_text("async def entrypoint(ctx): ...\n")
    (package / "inner" / "__init__.py").write_text("from somewhere import *\n")
    (tmp_path / "static_broken.py").write_text("def broken(:\n")
    (tmp_path / "static_namespace").mkdir()
    (tmp_path / "static_namespace" / "module.py").write_text("def __getattr__(name): ...\n")
    return tmp_path


@pytest.mark.parametrize(
    "reference",
    [
        "static_code:entrypoint",
        "static_code:returning",
        "static_code:wrapped",
        "static_code:server",
        "static_code:conditional",
        "static_code:Agent.method",
        "static_code:looped",
        "static_code:resource",
        "static_code:others",
        "static_code:parser",
        "static_code:path",
        "static_code:uvloop",
        "static_code",
        "static_code.py",
        "static_package.module:entrypoint",
        "static_package:module",
        "static_package.inner:anything",
        "static_namespace.module:anything",
        "json:loads",
        "math:sqrt",
    ],
)
def test_what_may_be_there_is_accepted(code: Path, reference: str) -> None:
    """Every way to bind a name, modules without source, star imports, and whatever a call returned."""
    assert check_reference(reference, code, COROUTINE) is None


@pytest.mark.parametrize(
    ("reference", "finding", "hint"),
    [
        ("static_cod:entrypoint", "AH261", "static_code"),
        ("static_package.modul:entrypoint", "AH261", "static_package.module"),
        ("static_code.inner:entrypoint", "AH261", "neither"),
        ("static_package.module.entrypoint", "AH261", "static_package.module:entrypoint"),
        ("nowhere_at_all:entrypoint", "AH261", "neither"),
        ("gone.py", "AH261", "relative path"),
        ("static_code.py:entrypoint", "AH261", "`static_code:entrypoint`"),
        ("static_broken:entrypoint", "AH262", "syntax"),
        ("static_broken", "AH262", "syntax"),
        ("static_code:entrypont", "AH263", "static_code:entrypoint"),
        ("static_code:zzz", "AH263", "define it"),
        ("static_code:plain", "AH264", "async def"),
        ("static_code:text", "AH264", "a function, an AgentServer or WorkerOptions"),
        ("static_code:", "AH260", "package.module:attribute"),
        ("static_package/module.py:entrypoint", "AH260", "static_package.module:entrypoint"),
        ("static code", "AH260", "package.module:attribute"),
    ],
)
def test_what_is_surely_wrong_is_found(code: Path, reference: str, finding: str, hint: str) -> None:
    """With a hint that names what was probably meant."""
    problem = check_reference(reference, code, COROUTINE)
    assert problem is not None
    assert (problem.code, hint in problem.hint) == (finding, True), problem


def test_a_plain_function_is_fine_where_it_may_be_sync(code: Path) -> None:
    """Prewarm and session_end may be either, but they are functions, not modules."""
    assert check_reference("static_code:plain", code, CALLABLE) is None
    problem = check_reference("static_code", code, CALLABLE)
    assert problem is not None
    assert problem.code == "AH260"


def test_nothing_of_the_user_is_run(tmp_path: Path) -> None:
    """Not even the packages above the module."""
    mark = tmp_path / "was_run"
    package = tmp_path / "static_effects"
    package.mkdir()
    for name in ("__init__", "module"):
        (package / f"{name}.py").write_text(f"open({str(mark)!r}, 'w')\nasync def entrypoint(ctx): ...\n")
    assert check_reference("static_effects.module:entrypoint", tmp_path, COROUTINE) is None
    assert not mark.exists()


def test_an_edit_is_seen_at_once(tmp_path: Path) -> None:
    """Parsed files are remembered by time and size, as reloads check again and again."""
    file = tmp_path / "static_edited.py"
    file.write_text("async def entrypoint(ctx): ...\n")
    assert check_reference("static_edited:entrypoint", tmp_path, COROUTINE) is None
    file.write_text("async def renamed(ctx): ...\n")
    assert check_reference("static_edited:entrypoint", tmp_path, COROUTINE) is not None
