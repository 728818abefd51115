"""An import that failed for want of a package names the command that installs it."""

import os
import sys
from importlib import metadata

import pytest

from agenthost.child.missing_packages import TRIED, VOICE, hint, untried


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
            "`pip install 'agenthost[voice]' livekit-plugins-turn-detector`",
        ),
        (
            ImportError(
                "cannot import name 'silero' from 'livekit.plugins' (unknown location)", name="livekit.plugins"
            ),
            "`pip install 'agenthost[voice]' livekit-plugins-silero`",
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


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the user's own words for it, and where it can be written."""
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    with pytest.raises(KeyError) as missing:
        os.environ["NO_SUCH_KEY"]
    assert hint(missing.value) == "set NO_SUCH_KEY in the environment, in .env, or under `env:`"


@pytest.mark.parametrize("error", [KeyError("LIVEKIT_API_SECRET"), ValueError("set LIVEKIT_API_SECRET")])
def test_an_import_that_wants_the_pair_is_told_who_has_it(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not where it is there: then something else is wrong."""
    monkeypatch.delenv("LIVEKIT_API_SECRET", raising=False)
    assert "`livekit.secret_in_jobs: true`" in hint(error)
    monkeypatch.setenv("LIVEKIT_API_SECRET", "x")
    assert hint(error) == ""


def test_a_name_that_this_version_lacks_is_put_down_to_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in a version that is tried: then it is a typing error."""
    error = ImportError("cannot import name 'AgentServer' from 'livekit.agents'", name="livekit.agents")
    monkeypatch.setattr(metadata, "version", lambda _: "1.2.18")
    assert hint(error) == f"livekit-agents 1.2.18 is installed, agenthost is tried with {' to '.join(TRIED)}: `{VOICE}`"
    monkeypatch.setattr(metadata, "version", lambda _: TRIED[1])
    assert hint(error) == ""


@pytest.mark.parametrize(
    ("version", "answer"),
    [("1.5.8", True), ("1.5.9", False), ("1.8.12", False), ("1.9.0", True), ("2.0.0rc1", True), ("1.6", False)],
)
def test_versions_outside_of_the_range_are_untried(version: str, answer: bool) -> None:
    """The range is that of the extra."""
    assert untried(version) is answer


@pytest.mark.parametrize(
    "error",
    [
        ModuleNotFoundError("No module named 'requests'", name="requests"),
        ImportError("cannot import name 'x' from 'app'", name="app"),
        SystemExit(2),
        ValueError("livekit.agents"),
        KeyError("answer"),
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
