"""Which libraries the user's code imports, read off its text: nothing of it is run. Runs in agent templates.

A template imports them before any process has run that code. What cannot be read off (an import in a function, or under
a condition) the first process tells, once it has imported it (`import_record.py`).
"""

import ast
import sys
from collections.abc import Iterator
from importlib.machinery import PathFinder
from pathlib import Path

from msgspec import Struct, field

from agenthost.child.main_script import find_script
from agenthost.child.user_modules import is_users, locate
from agenthost.errors import EntrypointError
from agenthost.ipc.messages import CodeSpec, Library

_FRAMEWORK = "livekit.agents"


class Scan(Struct):
    """`libraries` in the order in which they would be imported; `framework`: livekit-agents is among them, or will be.

    `user_modules` are those that were read.
    """

    libraries: dict[str, None] = field(default_factory=dict)
    framework: bool = False
    user_modules: set[str] = field(default_factory=set)

    def found(self) -> tuple[Library, ...]:
        return tuple(Library(name=name) for name in self.libraries)


def scan(code: CodeSpec) -> Scan:
    """What the modules that `code` names, and those of the user's that they import, import when they are imported."""
    found = Scan()
    for reference in (code.entrypoint, code.prewarm, code.session_end, code.handler, code.load):
        if not reference:
            continue
        if ":" in reference:
            _scan_module(reference.partition(":")[0], found, [])
        else:
            _scan_script(reference, found)
    found.framework = found.framework or _names_no_attribute(code.entrypoint)
    return found


def _names_no_attribute(entrypoint: str) -> bool:
    return bool(entrypoint) and ":" not in entrypoint


def _scan_script(reference: str, found: Scan) -> None:
    try:
        script = find_script(reference)
    except EntrypointError:
        return  # as below
    _scan_file(script.file, script.package, found, [script.folder])
    if script.package:
        _scan_module(script.package, found, [script.folder])


def _scan_module(name: str, found: Scan, path: list[str]) -> bool:
    """Whether there is a module `name` of the user's; it is read, and the packages it lies in."""
    parts = name.split(".")
    own = False
    for count in range(1, len(parts) + 1):
        walked = ".".join(parts[:count])
        spec = locate(walked, path)
        if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
            own = spec is not None and spec.origin is None and own
            continue
        own = is_users(spec.origin)
        if own and walked not in found.user_modules:
            found.user_modules.add(walked)
            package = walked if spec.submodule_search_locations else walked.rpartition(".")[0]
            _scan_file(Path(spec.origin), package, found, path)
    return own


def _scan_file(file: Path, package: str, found: Scan, path: list[str]) -> None:
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, ValueError, SyntaxError):
        return  # the process that imports it tells of that
    for statement in ast.walk(tree):
        if isinstance(statement, ast.Import | ast.ImportFrom):
            names = _named(statement, package)
            found.framework = found.framework or any(_is_framework(name) for name in names)
    for statement in _always_run(tree.body):
        first = _named(statement, package)[:1] if isinstance(statement, ast.ImportFrom) else ()
        for name in _named(statement, package):
            if not _scan_module(name, found, path):
                _add_library(name, found, path, is_named=isinstance(statement, ast.Import) or name in first)


def _always_run(body: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    for statement in body:
        match statement:
            case ast.Import() | ast.ImportFrom():
                yield statement
            case ast.Try() | ast.With():
                yield from _always_run(statement.body)
            case _:
                pass


def _named(statement: ast.Import | ast.ImportFrom, package: str) -> tuple[str, ...]:
    """The modules that it may name, the one that it surely does first."""
    if isinstance(statement, ast.Import):
        return tuple(alias.name for alias in statement.names)
    module = statement.module or ""
    if statement.level:
        parents = package.split(".")
        kept = parents[: len(parents) - statement.level + 1]
        module = ".".join([*kept, module] if module else kept)
    if not module:
        return ()
    return (module, *(f"{module}.{alias.name}" for alias in statement.names if alias.name != "*"))


def _is_framework(name: str) -> bool:
    return name == _FRAMEWORK or name.startswith(f"{_FRAMEWORK}.")


def _add_library(name: str, found: Scan, path: list[str], *, is_named: bool) -> None:
    """`from a import b`: b is a module only where a is a namespace, or it is found in there."""
    parent = name.rpartition(".")[0]
    if is_named:
        if name in sys.builtin_module_names or locate(name, path) is not None:
            found.libraries[name] = None
        return
    places = locate(parent, path)
    if places is None or places.origin is not None or places.submodule_search_locations is None:
        return
    if PathFinder.find_spec(name, list(places.submodule_search_locations)) is not None:
        found.libraries[name] = None
