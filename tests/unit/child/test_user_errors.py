"""How errors of user code are told."""

import ast
import json
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from agenthost.child import user_errors
from agenthost.child.entrypoint import resolve
from agenthost.child.user_errors import MAX_TEXT, describe_failure, error_text, traceback_text, user_place
from agenthost.context.calls import taken_by
from agenthost.errors import EntrypointError


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("boom"), "ValueError: boom"),
        (ValueError(), "ValueError"),
        (KeyError("name"), "KeyError: 'name'"),
        (Unspeakable(), "Unspeakable: (its text raised RuntimeError)"),
    ],
)
def test_error_text_is_type_and_message(error: Exception, expected: str) -> None:
    """One text for the wire, whatever the exception does."""
    assert error_text(error) == expected


def test_error_text_is_bounded() -> None:
    """A server is not sent a megabyte."""
    text = error_text(ValueError("x" * 10_000))
    assert len(text) == MAX_TEXT + 1
    assert text.endswith("…")


def test_user_place_is_the_users_line_not_the_librarys() -> None:
    """An error deep in the standard library is told with the line of the user that led there."""
    try:
        json.loads("{")
    except ValueError as error:
        file, line = user_place(error)
    assert (file, line) == (__file__, test_user_place_is_the_users_line_not_the_librarys.__code__.co_firstlineno + 3)


def test_user_place_of_a_syntax_error_is_the_place_of_the_syntax(tmp_path: Path) -> None:
    """The traceback of a SyntaxError has no frame of the file that is wrong."""
    file = tmp_path / "broken.py"
    file.write_text("\ndef entrypoint(:\n")
    with pytest.raises(SyntaxError) as caught:
        compile(file.read_text(), str(file), "exec")
    assert user_place(caught.value) == (str(file), 2)


def test_user_place_in_installed_code_is_in_the_package_entered_first() -> None:
    """An agent that was installed with pip calls an installed library: the agent's line is told."""
    packages = Path(sysconfig.get_path("purelib"))
    space: dict[str, Any] = {}
    for name, code in {
        "library/client.py": "def connect(): raise OSError('no route')",
        "agent/deep/tools.py": "\ndef use(): connect()",
        "agent/main.py": "def entrypoint(): use()",
    }.items():
        exec(compile(code, str(packages / name), "exec"), space)
    with pytest.raises(OSError, match="no route") as caught:
        space["entrypoint"]()
    error = caught.value
    assert error.__traceback__ is not None
    assert user_place(error.with_traceback(error.__traceback__.tb_next)) == (str(packages / "agent/deep/tools.py"), 2)


def test_user_place_of_text_that_is_no_file_is_the_line_that_read_it() -> None:
    """ast.literal_eval and the like raise a SyntaxError about `<unknown>`."""
    with pytest.raises(SyntaxError) as caught:
        ast.literal_eval("{")
    assert user_place(caught.value)[0] == __file__


def test_user_place_is_empty_where_no_user_code_ran() -> None:
    """An error that was never raised has no place."""
    assert user_place(ValueError()) == ("", 0)


def test_agenthost_is_no_user_code_where_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a checkout it is not among the packages of the interpreter; everywhere else it is."""
    monkeypatch.setattr(user_errors, "_INSTALLED", (str(Path(user_errors.__file__).parents[2]),))
    with pytest.raises(EntrypointError) as failed:
        resolve("no_such_module:entrypoint")
    error = failed.value
    assert error.__traceback__ is not None
    assert user_place(error.with_traceback(error.__traceback__.tb_next)) == ("", 0)


def test_traceback_has_the_users_frames_and_none_of_ours() -> None:
    """The user sees the way from their code to the error, without what called it."""
    try:
        taken_by(None)  # type: ignore[arg-type]
    except TypeError as error:
        text = traceback_text(error)
    assert "calls.py" not in text
    assert __file__ in text


def test_failure_of_an_entrypoint_error_names_its_cause(tmp_path: Path) -> None:
    """The message is the EntrypointError's, type and place are those of what the user's module raised."""
    try:
        try:
            raise KeyError("OPENAI_API_KEY")
        except KeyError as cause:
            raise EntrypointError("importing failed", traceback_text="the user's own") from cause
    except EntrypointError as error:
        failure = describe_failure("import", error)
    assert (failure.phase, failure.error, failure.message) == ("import", "KeyError", "importing failed")
    assert (failure.traceback, failure.file) == ("the user's own", __file__)


def test_failure_of_a_wrong_reference_has_no_traceback() -> None:
    """Nothing of the user's ran: the message says all there is."""
    failure = describe_failure("import", EntrypointError("there is no module `app`"))
    assert (failure.error, failure.traceback, failure.file, failure.line) == ("EntrypointError", "", "", 0)
