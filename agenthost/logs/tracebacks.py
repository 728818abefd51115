"""Exceptions as text for a log: with source lines, without locals, and, in processes of user code, without our frames.

Standard library only: it runs in every process.
"""

import os
import traceback
from collections.abc import Iterator
from pathlib import Path

_OURS = str(Path(__file__).parents[1]) + os.sep
_STANDARD = str(Path(os.__file__).parent) + os.sep
_INSTALLED = ("site-packages", "dist-packages")


def format_traceback(error: BaseException, *, user_code: bool) -> str:
    """The text that Python prints for an uncaught `error`, without the final newline; causes and groups included.

    `user_code`: leave out the frames of agenthost, and what called the user's code before it. An error in which no
    user code took part is a defect of ours and keeps all its frames.
    """
    told = traceback.TracebackException(type(error), error, error.__traceback__, compact=True)
    if user_code:
        _leave_out_ours(list(_all(told)))
    return "".join(told.format()).rstrip("\n")


def _all(told: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    """The exception, its causes, and the members of groups."""
    yield told
    for other in (told.__cause__, told.__context__, *(told.exceptions or ())):
        if other is not None:
            yield from _all(other)


def _leave_out_ours(exceptions: list[traceback.TracebackException]) -> None:
    firsts = [_first_foreign(told.stack) for told in exceptions]
    if all(first is None for first in firsts):
        for told in exceptions:
            if hasattr(told, "filename"):  # a syntax error: it names the user's line itself
                told.stack.clear()
        return
    for told, first in zip(exceptions, firsts, strict=True):
        told.stack[:] = [frame for frame in told.stack[first or 0 :] if not is_ours(frame.filename)]


def _first_foreign(stack: traceback.StackSummary) -> int | None:
    return next((i for i, frame in enumerate(stack) if is_foreign(frame.filename)), None)


def is_ours(filename: str) -> bool:
    """Whether this is code of agenthost."""
    return filename.startswith(_OURS)


def is_foreign(filename: str) -> bool:
    """Whether this is code of the user or of what they have installed, not of agenthost or of Python itself."""
    if filename.startswith((_OURS, "<frozen ")):
        return False
    return not filename.startswith(_STANDARD) or any(part in filename for part in _INSTALLED)
