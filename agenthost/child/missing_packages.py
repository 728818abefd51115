"""What an import that failed says about the user's environment: which package to install. Pure; runs in templates."""

import re
from traceback import extract_tb
from types import TracebackType

VOICE = "pip install 'agenthost[voice]'"
"""Brings livekit-agents in a version that agenthost is tried with."""

_PLUGINS = "livekit.plugins"
_IMPORT_OF_PLUGIN = re.compile(r"livekit\.plugins(?:\.(?P<module>\w+)| import (?P<name>\w+))")


def hint(error: BaseException) -> str:
    """A sentence for whoever reads that an import failed; "" where there is nothing to add."""
    if isinstance(error, ModuleNotFoundError):
        return _for_missing(error.name or "", error.__traceback__)
    if isinstance(error, ImportError):
        return _for_import(error.name or "", str(error))
    if isinstance(error, SystemExit) and _called_run_app(error.__traceback__):
        return (
            'the module calls `cli.run_app(…)` when it is imported: put that under `if __name__ == "__main__":`, or '
            "name the script (`my_agent.py`) instead of the module"
        )
    if isinstance(error, RuntimeError) and "only one rtc_session" in str(error):
        return "an AgentServer has one session: make a second server, and a second agent under `agents:`"
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
    return _install_plugin(wanted) if name == _PLUGINS and wanted else ""


def _written_plugin(traceback: TracebackType | None) -> str:
    """While no plugin at all is installed Python's error names none: it stands in the line that imports it."""
    lines = [frame.line or "" for frame in extract_tb(traceback)]
    found = [match for line in lines if (match := _IMPORT_OF_PLUGIN.search(line))]
    return (found[-1]["module"] or found[-1]["name"]) if found else ""


def _install_plugin(plugin: str) -> str:
    if not plugin:
        return f"no plugin of livekit-agents is installed: `{VOICE} livekit-plugins-…`"
    return f"the plugin `{plugin}` is not installed: `pip install livekit-plugins-{plugin.replace('_', '-')}`"


def _called_run_app(traceback: TracebackType | None) -> bool:
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if code.co_name == "run_app" and "/livekit/agents/cli/" in code.co_filename:
            return True
        traceback = traceback.tb_next
    return False
