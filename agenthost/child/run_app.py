"""`cli.run_app(…)` and `AgentServer.run()` of livekit-agents, called by user code: answered by us, in every process.

Theirs would read the command line of our process, or register a worker of their own beside the host's. In a script's
main process the answer is the door to the host (`main_process.py`); everywhere else nothing is run. livekit-agents may
not be imported yet, and for code of our own it never is: then its modules are waited for, not imported.
"""

import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, Protocol

_SERVERS = "livekit.agents.worker"
_PLACES = (  # the package has the function from its module
    ("livekit.agents.cli", "run_app"),
    ("livekit.agents.cli.cli", "run_app"),
    (_SERVERS, "AgentServer"),
)


class RunAppCalled(BaseException):
    """What `cli.run_app(agent)` raises where nothing is run; no `except Exception` of the user's keeps it."""

    def __init__(self, agent: object) -> None:
        super().__init__("cli.run_app(…) in a process that is no main process: nothing is run")
        self.agent = agent


class Answer(Protocol):
    """What the two come to: `agent` is an AgentServer or WorkerOptions, or whatever else they were given."""

    def run_app(self, agent: object) -> None:
        """For `cli.run_app(agent)`, from any thread."""

    async def run(self, agent: object) -> None:
        """For `await agent.run()`, on any loop."""


class Refusal:
    """Nothing is run: the caller stops there."""

    def run_app(self, agent: object) -> None:
        raise RunAppCalled(agent)

    async def run(self, agent: object) -> None:
        raise RunAppCalled(agent)


_answer: Answer = Refusal()


def answer_run_app(answer: Answer | None = None) -> None:
    """From now on `answer` is who they call in this process, whichever way the code came by them; None: a Refusal."""
    global _answer
    if answer is not None:
        _answer = answer
    for module, _ in _PLACES:
        if module in sys.modules:
            _replace(sys.modules[module])
    if not any(isinstance(finder, _Awaiting) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Awaiting())


def _run_app(agent: object = None, *_: object, **__: object) -> None:
    _answer.run_app(agent)


async def _run(agent: object, *_: object, **__: object) -> None:
    await _answer.run(agent)


def _replace(module: ModuleType) -> None:
    for place, name in _PLACES:
        found = getattr(module, name, None) if module.__name__ == place else None
        if found is None:
            continue
        owner, attribute, ours = (found, "run", _run) if place == _SERVERS else (module, name, _run_app)
        setattr(owner, attribute, ours)
        if owner is module:
            _rebind(found, ours)


def _rebind(theirs: object, ours: object) -> None:
    """In a script that was imported before: a fork server does so for all its children."""
    script = vars(sys.modules.get("__mp_main__", sys.modules["__main__"]))
    script.update({name: ours for name, value in script.items() if value is theirs})


class _Awaiting:
    """A finder that finds what Python would, and has the names replaced right after their module is imported."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not any(name == place for place, _ in _PLACES):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            execute: Callable[[ModuleType], None] = spec.loader.exec_module

            def execute_and_replace(module: ModuleType) -> None:
                execute(module)
                _replace(module)

            loader: Any = spec.loader
            loader.exec_module = execute_and_replace  # of this one module
        return spec
