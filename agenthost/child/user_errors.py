"""How an error in user code is told: one line for the wire, a traceback for the log, the line of the user's file.

Runs in every process of user code. Our own frames are left out, locals are never shown.
"""

import os
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path

from agenthost.errors import EntrypointError
from agenthost.ipc.messages import InitFailed
from agenthost.logs.tracebacks import format_traceback

MAX_TRACEBACK = 50_000  # of its end; a template's message is one packet
MAX_TEXT = 2000  # characters of an error that go over the wire; the log has the whole
_NOT_THE_USERS = tuple(
    folder + os.sep
    for folder in (str(Path(__file__).parents[1]), *map(sysconfig.get_path, ("stdlib", "purelib", "platlib")))
)


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
    """File and line of the innermost frame that is the user's own; ("", 0) where none is."""
    if isinstance(error, SyntaxError) and error.filename:
        return error.filename, error.lineno or 0
    places = [place for place in _places(error) if not place[0].startswith((*_NOT_THE_USERS, "<"))]
    return places[-1] if places else ("", 0)


def describe_failure(phase: str, error: BaseException) -> InitFailed:
    """The message that tells the host why a process cannot serve; `phase` is import, prewarm, preload or handler."""
    cause = error.__cause__ if isinstance(error, EntrypointError) and error.__cause__ else error
    file, line = user_place(cause)
    if isinstance(error, EntrypointError):
        name, message, text = type(cause).__qualname__, str(error), error.traceback_text
    else:
        name, message, text = type(error).__qualname__, error_text(error), traceback_text(error)
    return InitFailed(phase=phase, error=name, message=message, traceback=text[-MAX_TRACEBACK:], file=file, line=line)


def _places(error: BaseException) -> Iterator[tuple[str, int]]:
    for frame, line in traceback.walk_tb(error.__traceback__):
        yield frame.f_code.co_filename, line
