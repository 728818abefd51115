"""How a build looks while it runs."""

import io
import re

import pytest

from agenthost.livekit_server.progress import build_progress


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_each_step_is_one_line() -> None:
    """A CI log gets the steps, not a line for each compiled package."""
    stream = io.StringIO()
    with build_progress(stream) as report:
        for step, detail in [("installing Go", ""), ("installing Go", "x"), ("building", "a"), ("building", "b")]:
            report(step, detail)
    assert stream.getvalue() == "installing Go …\nbuilding …\n"


def test_on_a_terminal_the_line_shows_step_and_detail() -> None:
    """What is happening now, so that two minutes do not look like a hang."""
    stream = _Terminal()
    with build_progress(stream) as report:
        report("building livekit-server", "golang.org/x/net")
    shown = stream.getvalue()
    assert "building livekit-server" in shown
    assert "golang.org/x/net" in shown
    assert shown.endswith(("\x1b[2K", "\x1b[?25h"))


def test_long_detail_gives_way_to_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which step it is and how long it takes stay readable at 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    stream = _Terminal()
    with build_progress(stream) as report:
        report("building livekit-server 1.13.5", "github.com/" + "very-long/" * 20)
    lines = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue()).replace("\r", "\n").splitlines()
    assert any("building livekit-server 1.13.5 0:00:00 github.com/" in line for line in lines)
    assert max(map(len, lines)) <= 80


def test_where_nothing_is_built_nothing_is_shown() -> None:
    """`agenthost dev` with a server at hand starts without a flicker."""
    for stream in (_Terminal(), io.StringIO()):
        with build_progress(stream):
            pass
        assert stream.getvalue() == ""
