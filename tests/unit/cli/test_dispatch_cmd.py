"""`agenthost dispatch`: what is refused before anything is asked of a server."""

import os

import pytest

from agenthost.cli.main import main
from agenthost.errors import ExitCode

BYTES = os.fsdecode(b"a\xffb")


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("AGENT", [BYTES, "--room=x"]),
        ("--room", ["x", f"--room={BYTES}"]),
        ("--metadata", ["x", "--room=x", f"--metadata={BYTES}"]),
    ],
)
def test_text_that_the_server_cannot_be_told_is_a_usage_error(
    name: str, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """A terminal in Latin-1 sends bytes that are not UTF-8; the line names where they are and shows them."""
    assert main(["dispatch", *arguments]) == ExitCode.USAGE
    assert capsys.readouterr().err == f"agenthost: {name} is not UTF-8: a\\xffb; check the terminal's encoding\n"


def test_empty_room_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dispatch", "x", "--room="]) == ExitCode.USAGE
    assert "--room is empty" in capsys.readouterr().err
