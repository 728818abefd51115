"""Points at every `module:attribute` of a resolved file whose code is not there. Runs no user code."""

import importlib
import os.path
from collections.abc import Iterator
from pathlib import Path

from agenthost.config.collector import Collector
from agenthost.config.imports import Expectation, check_reference
from agenthost.config.nodes import Node, find
from agenthost.config.resolve import Resolved

_ENTRYPOINT = Expectation(whole_module=True, coroutine=True)
_COROUTINE = Expectation(coroutine=True)
_CALLABLE = Expectation()
_MODULE = Expectation(whole_module=True, only_module=True)

_BROKEN_MODULE = "AH262"

_REFERENCES = (
    (("entrypoint",), _ENTRYPOINT),
    (("prewarm", "callable"), _CALLABLE),
    (("session_end",), _CALLABLE),
    (("requests", "handler"), _COROUTINE),
    (("load", "custom", "callable"), _CALLABLE),
)


def check_imports(resolved: Resolved, folder: Path, findings: Collector) -> None:
    """Report every reference that cannot be right, and every working_dir that is not there."""
    importlib.invalidate_caches()
    broken: set[str | None] = set()
    for node, expected in _references(resolved):
        problem = None if node.opaque else check_reference(str(node.value), folder, expected)
        # However many functions of it are named, a module that is broken is one thing to mend.
        if problem is not None and problem.file not in broken:
            broken |= {problem.file} if problem.code == _BROKEN_MODULE else set()
            findings.about(problem.code, problem.message, node, hint=problem.hint)
    for agent in resolved.agents.values():
        working_dir = agent.entries["working_dir"]
        if not working_dir.opaque and not os.path.isdir(folder / str(working_dir.value)):  # noqa: PTH112  as in imports.py
            findings.about(
                "AH222", "there is no such folder", working_dir, hint="a relative path starts at the file's folder"
            )


def _references(resolved: Resolved) -> Iterator[tuple[Node, Expectation]]:
    for module in resolved.host.entries["preload"].items:
        yield module, _MODULE
    for agent in resolved.agents.values():
        for path, expected in _REFERENCES:
            node = find(agent, path)
            if node is not None:
                yield node, expected
