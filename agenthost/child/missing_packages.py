"""What an import that failed says about the user's environment: which package to install, which variable to set.

Runs in templates.
"""

import os
import re
from traceback import extract_tb
from types import TracebackType

VOICE = "pip install 'agenthost[voice]'"
"""Brings livekit-agents in a version that agenthost is tried with."""

TRIED = ("1.5.9", "1.8.9")
"""The oldest and the newest version of it that our tests run on (`make versions`)."""

_PLUGINS = "livekit.plugins"
_PAIR = ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET")
_IMPORT_OF_PLUGIN = re.compile(r"livekit\.plugins(?:\.(?P<module>\w+)| import (?P<name>\w+))")


def hint(error: BaseException) -> str:
    """A sentence for whoever reads that an import failed; "" where there is nothing to add."""
    if isinstance(error, ModuleNotFoundError):
        return _for_missing(error.name or "", error.__traceback__)
    if isinstance(error, ImportError):
        return _for_import(error.name or "", str(error))
    withheld = next((name for name in _PAIR if name in str(error) and name not in os.environ), "")
    if withheld:
        return (
            f"imports do not see {withheld}, prewarm and jobs do: ask for it there, or write "
            "`livekit.secret_in_jobs: true`"
        )
    if isinstance(error, KeyError) and _asked_environment(error.__traceback__):
        return f"set {error.args[0]} in the environment, in .env, or under `env:`"
    if isinstance(error, RuntimeError) and "only one rtc_session" in str(error):
        return "make a second server, and a second agent under `agents:`"
    return ""


def _for_missing(name: str, traceback: TracebackType | None) -> str:
    if name == "livekit.agents" or name.startswith("livekit.agents."):
        return f"livekit-agents is not installed: `{VOICE}`"
    if name == _PLUGINS:
        return _install_plugin(_written_plugin(traceback))
    if name.startswith(f"{_PLUGINS}."):
        return _install_plugin(name.removeprefix(f"{_PLUGINS}.").partition(".")[0])
    if name == "dotenv":  # what nearly every script of livekit-agents begins with, and no package is called
        return "python-dotenv is not installed: `pip install python-dotenv`"
    return ""


def _for_import(name: str, text: str) -> str:
    """`from livekit import agents` and `from livekit.plugins import silero` are ImportErrors of the package above."""
    wanted = text.partition("cannot import name '")[2].partition("'")[0]
    if name == "livekit" and wanted == "agents":
        return f"livekit-agents is not installed: `{VOICE}`"
    if name == "livekit.agents" or name.startswith("livekit.agents."):
        return _for_version()
    return _install_plugin(wanted) if name == _PLUGINS and wanted else ""


def _written_plugin(traceback: TracebackType | None) -> str:
    """While no plugin at all is installed Python's error names none: it stands in the line that imports it."""
    lines = [frame.line or "" for frame in extract_tb(traceback)]
    found = [match for line in lines if (match := _IMPORT_OF_PLUGIN.search(line))]
    return (found[-1]["module"] or found[-1]["name"]) if found else ""


def _install_plugin(plugin: str) -> str:
    if not plugin:
        return f"no plugin of livekit-agents is installed: `{VOICE} livekit-plugins-…`"
    # With the extra, which keeps livekit-agents in its range: a newer plugin alone would have pip replace it.
    return f"the plugin `{plugin}` is not installed: `{VOICE} livekit-plugins-{plugin.replace('_', '-')}`"


def _for_version() -> str:
    """A name that livekit-agents does not have: another version may."""
    from importlib import metadata  # with email and zipfile, 2 MB of every process that had it

    installed = metadata.version("livekit-agents")
    if not untried(installed):
        return ""
    return f"livekit-agents {installed} is installed, agenthost is tried with {' to '.join(TRIED)}: `{VOICE}`"


def untried(version: str) -> bool:
    """Whether it is older than the oldest that is tried, or a minor version newer than the newest."""
    oldest, newest = (_numbers(each) for each in TRIED)
    return _numbers(version) < oldest or _numbers(version)[:2] > newest[:2]


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


def _asked_environment(traceback: TracebackType | None) -> bool:
    frames = extract_tb(traceback)
    return bool(frames) and frames[-1].name == "__getitem__" and frames[-1].filename in ("<frozen os>", os.__file__)
