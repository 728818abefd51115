"""`package.module:attribute` → the object, with the ways in which that fails told apart. Runs in templates.

module missing        the name, and where it was looked for
import failed         the user's own traceback, without our frames
attribute missing     the nearest name there is
wrong kind            what it is, and what it should be
"""

import dis
import importlib
import inspect
import sys
from collections.abc import Awaitable, Callable
from difflib import get_close_matches
from functools import partial
from types import ModuleType, TracebackType
from typing import Any

from agenthost.child.missing_packages import hint
from agenthost.child.run_app import RunAppCalled, answer_run_app
from agenthost.child.user_errors import error_text, traceback_text, user_place, written_at
from agenthost.context.calls import takes
from agenthost.errors import EntrypointError

Entrypoint = Callable[[Any], Awaitable[Any]]

_RUN_APP = (
    "`{reference}`: `{name}` calls `cli.run_app(…)` when it is imported: put that under "
    '`if __name__ == "__main__":`, or name the script (`{script}`) instead of the module'
)


def resolve(reference: str) -> object:
    """The object that `module:attribute` names; the attribute may be dotted. Raises EntrypointError.

    The module's folder must be on sys.path already. Whatever the module raises while it is imported, SystemExit
    included, becomes an EntrypointError with the user's traceback.
    """
    name, colon, path = reference.partition(":")
    if not (name and colon and path):
        raise EntrypointError(f"`{reference}` names no attribute: write `module:attribute`")
    found: object = import_module(name, reference)
    walked = name
    for part in path.split("."):
        if not hasattr(found, part):
            raise EntrypointError(_attribute_missing(found, walked, part, reference))
        found = getattr(found, part)
        walked = f"{walked}.{part}"
    return found


def as_awaitable(found: object, reference: str, *, wanted: str) -> Entrypoint:
    """`found` as a function of one argument that is awaited. Raises EntrypointError; `wanted` ends its sentence."""
    function = as_callable(found, reference, arguments=(1,), wanted=wanted)
    if _returns_none(function):
        raise _wrong_kind(function, f"`{reference}` is a plain function, so nothing can be awaited: {wanted}")
    if _is_generator(function):
        raise _wrong_kind(function, f"`{reference}` is a generator (it contains `yield`): {wanted}")
    return function


def as_callable(found: object, reference: str, *, arguments: tuple[int, ...], wanted: str) -> Callable[..., Any]:
    """`found`, if it can be called with one of these numbers of arguments. Raises EntrypointError as above."""
    if not callable(found) or inspect.isclass(found):
        kind = "a class" if inspect.isclass(found) else f"of type {type(found).__name__}"
        raise EntrypointError(f"`{reference}` is {kind}: {wanted}")
    if not any(takes(found, count) for count in arguments):
        raise _wrong_kind(found, f"`{reference}` takes {inspect.signature(found)}: {wanted}")
    return found


def import_module(name: str, reference: str) -> ModuleType:
    """The module `name`, for `reference`. Raises EntrypointError as `resolve` does."""
    try:
        answer_run_app()
        return importlib.import_module(name)
    except RunAppCalled as called:
        file, line = user_place(called)
        told = _RUN_APP.format(reference=reference, name=name, script=f"{name.replace('.', '/')}.py")
        raise EntrypointError(told, file=file, line=line) from None
    except ModuleNotFoundError as error:
        if _is_prefix(error.name or "", name) and not _ran_user_code(error.__traceback__):
            raise EntrypointError(_module_missing(error, reference)) from None
        raise import_failed(name, reference, error) from error
    except BaseException as error:
        raise import_failed(name, reference, error) from error


def _wrong_kind(function: object, told: str) -> EntrypointError:
    file, line = written_at(function)
    return EntrypointError(told, file=file, line=line)


def import_failed(name: str, reference: str, error: BaseException) -> EntrypointError:
    """What importing `name` for `reference` raised, for whoever wrote that."""
    told = f"`{reference}`: importing `{name}` failed with {error_text(error)}"
    if advice := hint(error):
        told = f"{told}; {advice}"
    return EntrypointError(told, traceback_text=traceback_text(error))


def _module_missing(error: ModuleNotFoundError, reference: str) -> str:
    folder = sys.path[0] if sys.path else ""
    return (
        f"`{reference}`: there is no module `{error.name}` in {folder or 'the current folder'}, "
        "nor is one installed in this environment"
    )


def _attribute_missing(owner: object, walked: str, part: str, reference: str) -> str:
    nearest = get_close_matches(part, dir(owner), n=1)
    hint = f"did you mean `{nearest[0]}`?" if nearest else f"define it there, or correct `{reference}`"
    file = getattr(owner, "__file__", None)
    place = f"`{walked}` ({file})" if file else f"`{walked}`"
    return f"{place} has no attribute `{part}`; {hint}"


def _is_prefix(missing: str, name: str) -> bool:
    return name == missing or name.startswith(f"{missing}.")


def _ran_user_code(traceback: TracebackType | None) -> bool:
    """Whether a module's own code was running, so that it is one of its imports that is missing, not itself."""
    while traceback is not None:
        if traceback.tb_frame.f_code.co_name == "<module>" and "importlib" not in traceback.tb_frame.f_code.co_filename:
            return True
        traceback = traceback.tb_next
    return False


def _is_generator(function: Callable[..., Any]) -> bool:
    return inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)


def _returns_none(function: Callable[..., Any]) -> bool:
    """Whether `function` is a plain one that can only ever return None; anything else may return an awaitable."""
    while isinstance(function, partial):
        function = function.func
    if inspect.ismethod(function):
        function = function.__func__
    if not inspect.isfunction(function) or inspect.iscoroutinefunction(function) or _is_generator(function):
        return False
    previous: dis.Instruction | None = None
    for instruction in dis.get_instructions(function):
        constant = instruction if instruction.opname == "RETURN_CONST" else previous
        returns = instruction.opname.startswith("RETURN_") and instruction.opname != "RETURN_GENERATOR"
        if returns and not (constant and constant.opname.endswith("_CONST") and constant.argval is None):
            return False
        previous = instruction
    return True
