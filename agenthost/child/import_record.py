"""What a process had to import that is not the user's own code: told to the host, so that the next template has it.

Runs in the first process of a generation. A library can read the environment when it is imported, and the user's code
can change it before: so it is kept what was different at each import that this code asked for.
"""

import builtins
import itertools
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

from agenthost.child.main_script import MAIN
from agenthost.child.user_modules import is_users, is_users_module
from agenthost.ipc.messages import Library

MOST_ENVIRONMENT = 2 * 1024 * 1024
"""Characters, of all libraries together: a message has its limits, and each of them names the whole difference."""


class ImportRecord:
    """From `begin` to `end`; `libraries` then."""

    def __init__(self) -> None:
        self._before = 0
        self._main: ModuleType | None = None
        self._environment: dict[str, str] = {}
        self._asked: dict[str, Mapping[str, str | None]] = {}
        self._original: Callable[..., Any] = builtins.__import__

    def begin(self, *, alone: bool = False) -> None:
        """`alone`: what was imported before counts as well."""
        self._before = 0 if alone else len(sys.modules)
        self._main = sys.modules.get(MAIN)
        self._environment = dict(os.environ)
        self._original = builtins.__import__
        builtins.__import__ = self._watched

    def end(self) -> tuple[Library, ...]:
        """Those that were not there before, and those whose import the user's code had changed the environment for.

        First in the order in which that code asked for them, then what else has come. Where that code loads a very
        large environment, only those that it had imported before: the others each process imports as it did.
        """
        builtins.__import__ = self._original
        new = self.new()
        if sum(map(_size, self._asked.values())) > MOST_ENVIRONMENT:
            return tuple(Library(name=name) for name, env in self._asked.items() if name in new and not env)
        asked = [Library(name=name, env=env) for name, env in self._asked.items() if env or name in new]
        rest = [
            Library(name=name) for name, module in new.items() if name not in self._asked and _is_library(name, module)
        ]
        return (*asked, *rest)

    def new(self) -> dict[str, ModuleType]:
        """The modules that were imported since `begin`, in order. Those before them are not even looked at.

        That would give this process a copy of the memory in which its template has them: 10 MB of livekit-agents.
        """
        names = list(itertools.islice(reversed(sys.modules), max(0, len(sys.modules) - self._before)))
        new = {name: sys.modules[name] for name in reversed(names)}
        main = sys.modules.get(MAIN)
        if main is not None and main is not self._main:  # a script took the place of ours, and so is not at the end
            new[MAIN] = main
        return new

    def _watched(
        self,
        name: str,
        globals: Mapping[str, Any] | None = None,
        locals: object = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> Any:
        env = self._changed() if level == 0 and _is_users_own(globals) else None
        module = self._original(name, globals, locals, fromlist, level)
        if env is not None:
            for each in (name, *(f"{name}.{part}" for part in fromlist or ())):
                loaded = sys.modules.get(each)
                if loaded is not None and each not in self._asked and _is_library(each, loaded):
                    self._asked[each] = env
        return module

    def _changed(self) -> Mapping[str, str | None]:
        """What the environment has that it had not in the beginning."""
        now, before = dict(os.environ), self._environment
        if now == before:
            return {}
        return {key: now.get(key) for key in (*now, *before) if now.get(key) != before.get(key)}


def _size(environment: Mapping[str, str | None]) -> int:
    return sum(len(name) + len(value or "") for name, value in environment.items())


def _is_users_own(namespace: Mapping[str, Any] | None) -> bool:
    file = (namespace or {}).get("__file__")
    return bool(file) and is_users(str(file))


def _is_library(name: str, module: ModuleType) -> bool:
    """Whether a template can import it by this name."""
    spec = getattr(module, "__spec__", None)
    if spec is None or spec.name != name or is_users_module(module):
        return False
    return spec.origin is not None and not name.startswith("agenthost.")
