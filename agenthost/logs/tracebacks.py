"""Exceptions as text for a log: with source lines, without locals, and, in processes of user code, without our frames.

Standard library only: it runs in every process.
"""

import os
import traceback
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
        _hide(told)
    return "".join(told.format()).rstrip("\n")


def _hide(told: traceback.TracebackException) -> None:
    told.stack[:] = _user_frames(list(told.stack), is_syntax_error=told.exc_type is SyntaxError)
    for other in (told.__cause__, told.__context__, *(told.exceptions or ())):
        if other is not None:
            _hide(other)


def _user_frames(stack: list[traceback.FrameSummary], *, is_syntax_error: bool) -> list[traceback.FrameSummary]:
    first = next((i for i, frame in enumerate(stack) if _is_foreign(frame.filename)), None)
    if first is None:
        return [] if is_syntax_error else stack  # a syntax error names the user's line itself
    return [frame for frame in stack[first:] if not frame.filename.startswith(_OURS)]


def _is_foreign(filename: str) -> bool:
    if filename.startswith((_OURS, "<frozen ")):
        return False
    return not filename.startswith(_STANDARD) or any(part in filename for part in _INSTALLED)
