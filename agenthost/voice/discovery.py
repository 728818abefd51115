"""Finding the user's agent where the reference names no attribute: a module, or a script. Runs in templates.

module        searched as livekit-agents' command line does: `app`, `server`, `agent`, then any AgentServer
script.py     run as `python script.py` would; what it hands to `cli.run_app(…)` is the agent, and nothing is started
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from livekit.agents import WorkerOptions, cli

from agenthost.child.entrypoint import import_module
from agenthost.child.missing_packages import hint
from agenthost.child.user_errors import error_text, traceback_text
from agenthost.errors import EntrypointError
from agenthost.voice.code import AgentServer

_PREFERRED = ("app", "server", "agent")
_MAIN = "__main__"


class _AgentGiven(BaseException):
    """`cli.run_app` was called; a BaseException, so that no `except Exception` of the user's keeps it."""

    def __init__(self, agent: object) -> None:
        self.agent = agent


def find_in_module(name: str) -> object:
    """The AgentServer or WorkerOptions of a module. Raises EntrypointError where there is none."""
    module = import_module(name, name)
    found = _search(module)
    if found is None:
        raise EntrypointError(
            f"the module `{name}` ({module.__file__}) has no AgentServer: write `{name}:attribute`, or, where it calls "
            f'`cli.run_app(…)` under `if __name__ == "__main__"`, name the script: `{name.replace(".", "/")}.py`'
        )
    return found


def find_in_script(path: str) -> object:
    """What the script `path` (relative to the file's folder) gives to `cli.run_app`, or else its AgentServer.

    Raises EntrypointError; whatever the script raises, SystemExit included, becomes one with its traceback.
    """
    script = _locate(path)
    module = ModuleType(_MAIN)
    module.__file__ = str(script)
    # For good, as in a script of one's own: what its functions look up later is looked up in there.
    sys.modules[_MAIN] = module
    sys.argv = [str(script), "start"]
    sys.path.insert(0, str(script.parent))
    try:
        with _recorded_run_app():
            exec(compile(script.read_bytes(), str(script), "exec"), module.__dict__)
    except _AgentGiven as given:
        return given.agent
    except BaseException as error:
        advice = hint(error)
        told = f"`{path}`: running it failed with {error_text(error)}" + (f"; {advice}" if advice else "")
        raise EntrypointError(told, traceback_text=traceback_text(error)) from error
    found = _search(module)
    if found is None:
        raise EntrypointError(f"`{path}` neither calls `cli.run_app(…)` nor has an AgentServer: add one of them")
    return found


def _locate(path: str) -> Path:
    """Beside the file, whose folder comes first on the path."""
    for folder in (sys.path[0], "."):
        script = Path(folder, path)
        if script.is_file():
            return script.resolve()
    raise EntrypointError(f"there is no script `{path}` in {sys.path[0]}")


def _search(module: ModuleType) -> object | None:
    values = [getattr(module, name, None) for name in (*_PREFERRED, *vars(module))]
    agents: list[object] = [value for value in values if isinstance(value, AgentServer)]
    agents += [value for value in values if isinstance(value, WorkerOptions)]
    return agents[0] if agents else None


@contextmanager
def _recorded_run_app() -> Iterator[None]:
    """While it lasts `cli.run_app` hands its argument to us, whichever way the script came by the function."""

    def run_app(agent: object) -> NoReturn:
        raise _AgentGiven(agent)

    owners: tuple[Any, ...] = (cli, importlib.import_module("livekit.agents.cli.cli"))
    originals = [owner.run_app for owner in owners]
    for owner in owners:
        owner.run_app = run_app
    try:
        yield
    finally:
        for owner, original in zip(owners, originals, strict=True):
            owner.run_app = original
