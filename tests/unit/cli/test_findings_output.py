"""Findings on a terminal and elsewhere."""

import io
import os
import pty
import tty

import pytest

from agenthost.cli.findings_output import show, show_config_error
from agenthost.config.findings import ConfigError, Finding, Severity
from agenthost.config.findings_text import Segment

LINES = [(Segment(text="error[AH120]", style="error"), Segment(text=" [bold]not markup[/bold]"))]


def on_terminal() -> str:
    """What `show` writes to a terminal."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    try:
        with os.fdopen(slave, "w") as stream:
            show(LINES, stream)
            return os.read(master, 4096).decode()
    finally:
        os.close(master)


def test_a_terminal_gets_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """And text that looks like markup stays text."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    written = on_terminal()
    assert "\x1b[1;31merror[AH120]" in written
    assert "[bold]not markup[/bold]" in written


def test_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever its value."""
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    assert "31m" not in on_terminal()


def test_a_file_gets_plain_text() -> None:
    """A log or a pipe has no use for escapes."""
    stream = io.StringIO()
    show(LINES, stream)
    assert stream.getvalue() == "error[AH120] [bold]not markup[/bold]\n"


def test_a_broken_configuration_is_shown_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """With the lines of the file that it carries."""
    finding = Finding(
        code="AH120",
        severity=Severity.ERROR,
        message="a duration needs a unit",
        file="f.yaml",
        line=1,
        column=1,
        end_column=3,
        hint="write `1h`",
    )
    show_config_error(ConfigError([finding], "12 ab", "f.yaml"))
    written = capsys.readouterr()
    assert written.out == ""
    assert written.err.splitlines()[1:3] == ["    1 │ 12 ab", "      │ ^^ write `1h`"]
