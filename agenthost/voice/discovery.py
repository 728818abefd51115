"""Finding the user's agent where the reference names no attribute: a module, or a script. Runs in templates.

module        searched as livekit-agents' command line does: `app`, `server`, `agent`, then any AgentServer
script.py     run as `python script.py` would; what it hands to `cli.run_app(…)` is the agent, and nothing is started
"""

import sys
from pathlib import Path
from types import ModuleType

from livekit.agents import WorkerOptions
from msgspec import Struct

from agenthost.child.entrypoint import import_module
from agenthost.child.missing_packages import hint
from agenthost.child.run_app import RunAppCalled, intercepted_run_app
from agenthost.child.user_errors import error_text, traceback_text, user_place
from agenthost.errors import EntrypointError
from agenthost.voice.code import AgentServer

_PREFERRED = ("app", "server", "agent")
MAIN = "__main__"
"""Under this name a script is imported."""


class Found(Struct, frozen=True, kw_only=True):
    """`file` and `line` are where the code hands it over; "" and 0 where it only stands in a module."""

    agent: object
    file: str = ""
    line: int = 0


def find_in_module(name: str) -> Found:
    """The AgentServer or WorkerOptions of a module. Raises EntrypointError where there is none."""
    module = import_module(name, name)
    found = _search(module)
    if found is None:
        raise EntrypointError(
            f"the module `{name}` ({module.__file__}) has no AgentServer: write `{name}:attribute`, or, where it calls "
            f'`cli.run_app(…)` under `if __name__ == "__main__"`, name the script: `{name.replace(".", "/")}.py`'
        )
    return Found(agent=found)


def find_in_script(path: str) -> Found:
    """What the script `path` (relative to the file's folder) gives to `cli.run_app`, or else its AgentServer.

    Raises EntrypointError; whatever the script raises, SystemExit included, becomes one with its traceback.
    """
    script = _locate(path)
    module = ModuleType(MAIN)
    module.__file__ = str(script)
    # For good, as in a script of one's own: what its functions look up later is looked up in there.
    sys.modules[MAIN] = module
    sys.argv = [str(script), "start"]
    sys.path.insert(0, str(script.parent))
    try:
        with intercepted_run_app():
            exec(compile(script.read_bytes(), str(script), "exec"), module.__dict__)
    except RunAppCalled as called:
        return _given(called, path)
    except BaseException as error:
        advice = hint(error)
        told = f"`{path}`: running it failed with {error_text(error)}" + (f"; {advice}" if advice else "")
        raise EntrypointError(told, traceback_text=traceback_text(error)) from error
    found = _search(module)
    if found is None:
        raise EntrypointError(f"`{path}` neither calls `cli.run_app(…)` nor has an AgentServer: add one of them")
    return Found(agent=found)


def _given(called: RunAppCalled, path: str) -> Found:
    file, line = user_place(called)
    if not isinstance(called.agent, (AgentServer, WorkerOptions)):
        raise EntrypointError(
            f"`{path}` gives an object of type {type(called.agent).__name__} to `cli.run_app(…)`, which takes an "
            "AgentServer or WorkerOptions",
            file=file,
            line=line,
        )
    return Found(agent=called.agent, file=file, line=line)


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
