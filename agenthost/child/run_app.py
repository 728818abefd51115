"""`cli.run_app(…)` of livekit-agents, called while user code is imported: heard, and nothing is run. Runs in templates.

Their function would read the command line of our process and take it over. livekit-agents may not be imported yet when
the user's import begins, and for code of our own it never is: then its module is waited for, not imported.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, NoReturn

_PACKAGE = "livekit.agents.cli"
_NAMES = (_PACKAGE, "livekit.agents.cli.cli")  # the package has the function from its module


class RunAppCalled(BaseException):
    """What `cli.run_app(agent)` raises meanwhile; no `except Exception` of the user's keeps it."""

    def __init__(self, agent: object) -> None:
        super().__init__("cli.run_app(…)")
        self.agent = agent


@contextmanager
def intercepted_run_app() -> Iterator[None]:
    """While it lasts `cli.run_app` raises RunAppCalled, whichever way the code came by the function."""
    replaced: list[tuple[ModuleType, Any]] = []

    def replace() -> None:
        for name in _NAMES:
            module = sys.modules.get(name)
            if module is not None and hasattr(module, "run_app"):
                replaced.append((module, module.run_app))
                setattr(module, "run_app", _run_app)  # noqa: B010  an assignment is not allowed to a module

    finder = _Awaiting(replace)
    if _PACKAGE in sys.modules:
        replace()
    else:
        sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)
        for module, original in replaced:
            setattr(module, "run_app", original)  # noqa: B010


def _run_app(agent: object = None, *_: object, **__: object) -> NoReturn:
    raise RunAppCalled(agent)


class _Awaiting:
    """A finder that finds what Python would, and has `then` called right after the package is imported."""

    def __init__(self, then: Callable[[], None]) -> None:
        self._then = then

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target) if name == _PACKAGE else None
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_tell(module: ModuleType) -> None:
                execute(module)
                self._then()

            setattr(spec.loader, "exec_module", execute_and_tell)  # noqa: B010  the loader of this one module
        return spec
