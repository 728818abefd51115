"""Tracebacks: the user's frames, with source, without locals, without ours."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, TracebackType

import pytest

from agenthost.ipc.messages import decode
from agenthost.logs.tracebacks import format_traceback


def raised_by(action: Callable[[], object]) -> BaseException:
    with pytest.raises(BaseException) as caught:
        action()
    return caught.value


def without_the_test(error: BaseException) -> BaseException:
    """The error as if nothing of this file had been on the stack: a test is user code, too."""
    while error.__traceback__ and _is_here(error.__traceback__):
        error.__traceback__ = error.__traceback__.tb_next
    return error


def _is_here(traceback: TracebackType) -> bool:
    return traceback.tb_frame.f_code.co_filename == __file__


def user_module(folder: Path, source: str) -> ModuleType:
    path = folder / "users_agent.py"
    path.write_text(source)
    module = ModuleType("users_agent")
    exec(compile(source, str(path), "exec"), vars(module))
    return module


def test_frames_of_agenthost_are_left_out(tmp_path: Path) -> None:
    """The user called us, and we called the user: only the user's lines are shown."""
    module = user_module(tmp_path, "def work(call):\n    key = 'hunter2'\n    return call(b'broken')\n")
    text = format_traceback(raised_by(lambda: module.work(decode)), user_code=True)
    assert "return call(b'broken')" in text
    assert "agenthost/ipc" not in text
    assert text.splitlines()[-1] == "ValueError: not a message: b'broken'"


def test_locals_are_not_shown(tmp_path: Path) -> None:
    """A variable may hold a key."""
    module = user_module(tmp_path, "def work():\n    key = 'hun' + str('ter2')\n    raise OSError('no')\n")
    assert "hunter2" not in format_traceback(raised_by(module.work), user_code=True)


def test_causes_lose_our_frames_too(tmp_path: Path) -> None:
    """`raise ... from` shows both, each without us."""
    source = (
        "def work(call):\n    try:\n        call(b'x')\n    except ValueError as error:\n"
        "        raise KeyError('k') from error\n"
    )
    text = format_traceback(raised_by(lambda: user_module(tmp_path, source).work(decode)), user_code=True)
    assert "direct cause" in text
    assert "agenthost/ipc" not in text


def test_groups_lose_our_frames_too(tmp_path: Path) -> None:
    """The members of an exception group are shown like single exceptions."""
    source = (
        "def work(call):\n    try:\n        call(b'x')\n    except ValueError as error:\n"
        "        raise ExceptionGroup('two', [error, OSError('no')])\n"
    )
    text = format_traceback(raised_by(lambda: user_module(tmp_path, source).work(decode)), user_code=True)
    assert "ExceptionGroup: two" in text
    assert "OSError: no" in text
    assert "agenthost/ipc" not in text


def test_defect_of_ours_keeps_its_frames() -> None:
    """Where no user code took part, our frames are all there is to find the defect by."""
    text = format_traceback(without_the_test(raised_by(lambda: decode(b"x"))), user_code=True)
    assert text.count("agenthost/ipc/messages.py") == 2


def test_syntax_error_shows_the_users_line_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The import machinery above it helps nobody."""
    (tmp_path / "broken_agent.py").write_text("def entrypoint(:\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    error = without_the_test(raised_by(lambda: importlib.import_module("broken_agent")))
    text = format_traceback(error, user_code=True)
    assert "importlib" not in text
    assert text.count("File ") == 1
    assert "def entrypoint(:" in text
    assert "broken_agent" not in sys.modules


def test_in_the_host_nothing_is_left_out() -> None:
    """No user code runs there: what fails is ours, and libraries called by it."""
    assert "agenthost/ipc" in format_traceback(raised_by(lambda: decode(b"x")), user_code=False)
