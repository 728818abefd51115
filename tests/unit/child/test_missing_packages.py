"""An import that failed for want of a package names the command that installs it."""

import sys

import pytest

from agenthost.child.missing_packages import VOICE, hint


@pytest.mark.parametrize(
    ("error", "wanted"),
    [
        (ModuleNotFoundError("No module named 'livekit.agents'", name="livekit.agents"), VOICE),
        (ModuleNotFoundError("No module named 'livekit.agents.llm'", name="livekit.agents.llm"), VOICE),
        (ImportError("cannot import name 'agents' from 'livekit' (unknown location)", name="livekit"), VOICE),
        (
            ModuleNotFoundError(
                "No module named 'livekit.plugins.turn_detector'", name="livekit.plugins.turn_detector"
            ),
            "`pip install livekit-plugins-turn-detector`",
        ),
        (
            ImportError(
                "cannot import name 'silero' from 'livekit.plugins' (unknown location)", name="livekit.plugins"
            ),
            "`pip install livekit-plugins-silero`",
        ),
        (ModuleNotFoundError("No module named 'livekit.plugins'", name="livekit.plugins"), "livekit-plugins-…"),
        (ModuleNotFoundError("No module named 'dotenv'", name="dotenv"), "`pip install python-dotenv`"),
        (
            RuntimeError("The AgentServer currently only supports registering only one rtc_session"),
            "a second agent under `agents:`",
        ),
    ],
)
def test_what_is_missing_is_named_with_the_remedy(error: Exception, wanted: str) -> None:
    """The errors are those that Python and livekit-agents raise."""
    assert wanted in hint(error)


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'requests'", name="requests"),
        ImportError("cannot import name 'x' from 'app'", name="app"),
        SystemExit(2),
        ValueError("livekit.agents"),
    ],
)
def test_other_errors_speak_for_themselves(error: BaseException) -> None:
    """A guess would mislead."""
    assert hint(error) == ""


def test_the_interpreter_still_words_it_this_way() -> None:
    """The name is cut out of Python's own sentence."""
    name = "no_such_agents_module"
    with pytest.raises(ImportError) as missing:
        exec(f"from livekit import {name}")
    assert missing.value.name == "livekit" and f"cannot import name '{name}'" in str(missing.value)
    assert sys.modules["livekit"]
