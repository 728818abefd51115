"""How an error in user code is told: one line for the wire, a traceback for the log, the line of the user's file.

Runs in every process of user code. Our own frames are left out, locals are never shown.
"""

import ast
import inspect
import os
import sysconfig
import traceback
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import FrameType, ModuleType

from agenthost.child.user_modules import user_modules
from agenthost.errors import EntrypointError
from agenthost.ipc.messages import InitFailed
from agenthost.logs.tracebacks import format_traceback, is_foreign

MAX_TRACEBACK = 50_000  # of its end; a template's message is one packet
MAX_TEXT = 2000  # characters of an error that go over the wire; the log has the whole
_INSTALLED = tuple(sysconfig.get_path(name) + os.sep for name in ("purelib", "platlib"))


def error_text(error: BaseException) -> str:
    """`ValueError: boom`, cut at MAX_TEXT characters."""
    name = type(error).__qualname__
    try:
        message = str(error)
    except Exception as failure:  # a user's __str__ can be as broken as the rest
        message = f"(its text raised {type(failure).__name__})"
    text = f"{name}: {message}" if message else name
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


def traceback_text(error: BaseException) -> str:
    """The traceback as Python prints it, without frames of agenthost."""
    return format_traceback(error, user_code=True)


def user_place(error: BaseException) -> tuple[str, int]:
    """File and line of the innermost frame that is the user's own; ("", 0) where none is.

    When all code is installed, the user's is that of the package that was entered first.
    """
    if isinstance(error, SyntaxError) and error.filename and not error.filename.startswith("<"):
        return error.filename, error.lineno or 0
    places = list(_places(error))
    own = [place for place in places if not place[0].startswith(_INSTALLED)]
    if not own and places:
        package = str(Path(places[0][0]).parent)
        own = [place for place in places if place[0].startswith(package)]
    return own[-1] if own else ("", 0)


def running_place(frame: FrameType | None) -> tuple[str, int]:
    """File and line of the innermost frame, from this one outwards, that is the user's own; ("", 0) where none is."""
    while frame is not None:
        file = frame.f_code.co_filename
        if is_foreign(file) and not file.startswith(("<", *_INSTALLED)):
            return file, frame.f_lineno
        frame = frame.f_back
    return "", 0


def written_at(function: object) -> tuple[str, int]:
    """File and line where `function` is defined; ("", 0) for what is no function of Python."""
    while isinstance(function, partial):
        function = function.func
    unwrapped = inspect.unwrap(function) if callable(function) else function
    code = getattr(unwrapped, "__code__", None)
    return (code.co_filename, code.co_firstlineno) if code is not None else ("", 0)


def bound_at(value: object, module: ModuleType) -> tuple[str, int]:
    """File and line where `module` gives `value` a name of its own, the last if there are several.

    ("", 0) where that cannot be seen: it has no source, or its names are made otherwise.
    """
    names = {name for name, bound in vars(module).items() if bound is value}
    try:
        tree = ast.parse(Path(module.__file__ or "").read_bytes())
    except (OSError, ValueError, SyntaxError):
        return "", 0
    stored = [
        node.lineno
        for statement in tree.body
        if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id in names
    ]
    return (module.__file__ or "", stored[-1]) if stored else ("", 0)


def describe_failure(phase: str, error: BaseException) -> InitFailed:
    """The message that tells the host why a process cannot serve; `phase` is import, prewarm, preload or handler."""
    cause = error.__cause__ if isinstance(error, EntrypointError) and error.__cause__ else error
    file, line = user_place(cause)
    if isinstance(error, EntrypointError):
        file, line = (error.file, error.line) if error.file else (file, line)
        name, message, text = type(cause).__qualname__, str(error), error.traceback_text
    else:
        name, message, text = type(error).__qualname__, error_text(error), traceback_text(error)
    return InitFailed(
        phase=phase,
        error=name,
        message=message,
        traceback=text[-MAX_TRACEBACK:],
        file=file,
        line=line,
        modules=user_modules(),
    )


def _places(error: BaseException) -> Iterator[tuple[str, int]]:
    """File and line of each frame that is neither agenthost's nor the standard library's, outermost first."""
    for frame, line in traceback.walk_tb(error.__traceback__):
        file = frame.f_code.co_filename
        if is_foreign(file) and not file.startswith("<"):  # `<string>` is no file
            yield file, line
