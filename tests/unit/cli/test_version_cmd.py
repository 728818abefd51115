"""`agenthost version`."""

import json
import platform

import pytest

from agenthost.cli.main import main
from agenthost.version import __version__


def test_text_has_one_line_for_each_part(capsys: pytest.CaptureFixture[str]) -> None:
    """What a bug report needs, to be read by people."""
    assert main(["version"]) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["agenthost"] == __version__
    assert lines["python"] == platform.python_version()
    assert set(lines) == {"agenthost", "python", "livekit", "livekit-api", "platform"}


def test_json_has_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """And by programs."""
    assert main(["version", "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["agenthost"] == __version__
