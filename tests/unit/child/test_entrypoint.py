"""`module:attribute` → the object, and the ways in which that fails told apart."""

import functools
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agenthost.child.entrypoint import as_awaitable, as_callable, resolve
from agenthost.errors import EntrypointError

WANTED = "an entrypoint is an `async def`"
numbers = itertools.count()

Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """`write(code)` makes a module and returns its name, which no other test has used."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)

    def write(code: str) -> str:
        name = f"user_module_{next(numbers)}"
        (tmp_path / f"{name}.py").write_text(code)
        return name

    yield write
    for name in set(sys.modules) - before:
        del sys.modules[name]


def test_attribute_may_be_dotted(write: Write) -> None:
    """`app:Agent.run` is the attribute of an attribute."""
    name = write("class Agent:\n    value = 7")
    assert resolve(f"{name}:Agent.value") == 7


@pytest.mark.parametrize("reference", ["app", "app:", ":entrypoint", ""])
def test_reference_without_both_parts_is_refused(reference: str) -> None:
    """The message shows the form."""
    with pytest.raises(EntrypointError, match="write `module:attribute`"):
        resolve(reference)


def test_missing_module_is_named_with_where_it_was_looked_for(write: Write, tmp_path: Path) -> None:
    """No traceback: nothing of the user's ran."""
    with pytest.raises(EntrypointError) as caught:
        resolve("no_such_module:entrypoint")
    assert str(caught.value) == (
        f"`no_such_module:entrypoint`: there is no module `no_such_module` in {tmp_path}, "
        "nor is one installed in this environment"
    )
    assert caught.value.traceback_text == ""


def test_missing_package_of_a_dotted_module_is_named() -> None:
    """Of `no.such.module`, `no` is what is missing."""
    with pytest.raises(EntrypointError, match="there is no module `no_such_package` in"):
        resolve("no_such_package.module:entrypoint")


def test_import_that_is_missing_inside_the_module_is_the_users_error(write: Write) -> None:
    """A module that imports what is not installed exists; its own line is shown."""
    name = write("import not_installed_library")
    with pytest.raises(EntrypointError, match=r"importing `user_module_.*` failed with ModuleNotFoundError") as caught:
        resolve(f"{name}:entrypoint")
    assert "import not_installed_library" in caught.value.traceback_text


def test_module_that_imports_a_missing_namesake_is_told_from_a_missing_module(write: Write) -> None:
    """Even when what is missing has the very name that was asked for."""
    name = write("import sys; del sys.modules[__name__]; raise ModuleNotFoundError('gone', name=__name__)")
    with pytest.raises(EntrypointError, match=f"importing `{name}` failed"):
        resolve(f"{name}:entrypoint")


def test_import_error_shows_the_users_traceback_without_our_frames(write: Write) -> None:
    """What the module raised, with its line, and nothing of agenthost or importlib before it."""
    name = write("import os\nKEY = os.environ['NOT_SET_ANYWHERE']")
    with pytest.raises(EntrypointError, match="KeyError: 'NOT_SET_ANYWHERE'") as caught:
        resolve(f"{name}:entrypoint")
    text = caught.value.traceback_text
    assert f"{name}.py" in text
    assert "entrypoint.py" not in text
    assert "importlib" not in text


def test_syntax_error_shows_its_line(write: Write) -> None:
    """The text has the line that cannot be read."""
    name = write("async def entrypoint(ctx)\n    pass\n")
    with pytest.raises(EntrypointError, match="SyntaxError") as caught:
        resolve(f"{name}:entrypoint")
    assert "async def entrypoint(ctx)" in caught.value.traceback_text


def test_module_that_exits_at_import_does_not_exit_us(write: Write) -> None:
    """A script without an `if __name__` guard calls sys.exit()."""
    name = write("import sys; sys.exit(2)")
    with pytest.raises(EntrypointError, match="failed with SystemExit: 2"):
        resolve(f"{name}:entrypoint")


def test_missing_attribute_suggests_the_nearest(write: Write) -> None:
    """With the file in which it was looked for."""
    name = write("async def entrypoint(ctx): ...")
    with pytest.raises(EntrypointError, match=r"\.py\) has no attribute `entrypont`; did you mean `entrypoint`\?"):
        resolve(f"{name}:entrypont")


def test_missing_attribute_without_a_near_name_says_what_to_do(write: Write) -> None:
    """Define it, or correct the reference."""
    name = write("x = 1")
    with pytest.raises(EntrypointError, match=f"define it there, or correct `{name}:entrypoint`"):
        resolve(f"{name}:entrypoint")


async def _coroutine(ctx: object) -> None: ...


def _decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any) -> Any:
        return function(*args)

    return wrapper


class _Agent:
    async def __call__(self, ctx: object) -> None: ...

    async def run(self, ctx: object) -> None: ...


async def _with_default(ctx: object, verbose: bool = False) -> None: ...


async def _with_setting(voice: str, ctx: object) -> None: ...


@pytest.mark.parametrize(
    "function",
    [
        _coroutine,
        _with_default,
        functools.partial(_with_setting, "alba"),
        _decorated(_coroutine),
        _Agent(),
        _Agent().run,
        lambda ctx: _coroutine(ctx),
    ],
)
def test_whatever_may_return_an_awaitable_is_an_entrypoint(function: object) -> None:
    """async functions and methods, partials, decorated ones, callable objects, plain functions that return one."""
    assert as_awaitable(function, "app:entrypoint", wanted=WANTED) is function


def _plain(ctx: object) -> None:
    repr(ctx)


def _plain_with_return(ctx: object) -> None:
    if ctx:
        return
    repr(ctx)


def _generator(ctx: object) -> Iterator[None]:
    yield


async def _without_context() -> None: ...


async def _with_two(ctx: object, other: object) -> None: ...


@pytest.mark.parametrize(
    ("found", "complaint"),
    [
        (_plain, "is a plain function, so nothing can be awaited"),
        (_plain_with_return, "is a plain function"),
        (functools.partial(_plain), "is a plain function"),
        (_generator, "is a generator"),
        (_without_context, r"takes \(\)"),
        (_with_two, r"takes \(ctx.*, other.*\)"),
        (_Agent, "is a class"),
        ("text", "is of type str"),
        (None, "is of type NoneType"),
    ],
)
def test_wrong_kind_is_told_with_what_it_is(found: object, complaint: str) -> None:
    """The message says what was found and what an entrypoint is."""
    with pytest.raises(EntrypointError, match=f"`app:entrypoint` .*{complaint}.*{WANTED}"):
        as_awaitable(found, "app:entrypoint", wanted=WANTED)


def test_function_may_take_any_of_the_numbers_of_arguments() -> None:
    """A load function takes nothing or the number of active jobs, not both and more."""
    assert as_callable(len, "app:load", arguments=(0, 1), wanted="")([1]) == 1
    with pytest.raises(EntrypointError, match="takes"):
        as_callable(_with_two, "app:load", arguments=(0, 1), wanted="a load function")
