"""Static check of `module:attribute` references: find the file, parse it, look for the name. Runs no user code.

What cannot be decided without running code (a star import, a name made at run time, a compiled module, a package
that rewrites itself) is accepted: the import itself decides, before a process is used.
"""

import ast
import difflib
import importlib.machinery
import os.path
import re
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from msgspec import Struct

from agenthost.config.named_code import code_folders

_REFERENCE = re.compile(
    r"(?P<module>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)(?::(?P<attribute>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*))?"
)


class ImportProblem(Struct, frozen=True, kw_only=True):
    """What is wrong with a reference. `file` and `line` are set when the cause stands in the user's code."""

    code: str
    message: str
    hint: str
    file: str = ""
    line: int = 0


class Expectation(Struct, frozen=True, kw_only=True):
    """What a reference must be.

    `whole_module`: a module, a script, or an object of livekit-agents is fine, too; `only_module`: it must be a module.
    `coroutine`: a function must be an `async def`.
    """

    whole_module: bool = False
    only_module: bool = False
    coroutine: bool = False


def check_reference(text: str, folder: Path, expected: Expectation) -> ImportProblem | None:
    """The first thing wrong with the reference `text`; `folder`, the file's own, comes first on the import path."""
    if expected.only_module and not re.fullmatch(r"[^\W\d]\w*(\.[^\W\d]\w*)*", text):
        return _malformed(text, expected)
    if text.endswith(".py") and not expected.only_module:
        return _check_script(text, folder, expected)
    match = _REFERENCE.fullmatch(text)
    if match is None or (match["attribute"] is None and not expected.whole_module):
        return _malformed(text, expected)
    try:
        source = _find_source(match["module"], folder)
    except ModuleNotFoundError as error:
        return _missing_module(text, str(error), folder)
    if source is None or match["attribute"] is None:
        return None if source is None else _syntax_problem(source)
    return _check_attribute(source, match["module"], match["attribute"], expected)


def _malformed(text: str, expected: Expectation) -> ImportProblem:
    if expected.only_module:
        return ImportProblem(code="AH260", message=f"`{text}` is no module", hint="write a module's name: `numpy`")
    candidate = text.replace("/", ".").replace(".py:", ":")
    if "::" in candidate or (re.fullmatch(r"[\w.]+\.\w+", candidate) and ":" not in candidate):
        head, _, tail = candidate.replace("::", ":").rpartition(":" if ":" in candidate else ".")
        candidate = f"{head.strip(':')}:{tail}"
    usable = _REFERENCE.fullmatch(candidate) and ":" in candidate and candidate != text
    hint = f"write `{candidate}`" if usable else "write `package.module:attribute`"
    return ImportProblem(code="AH260", message=f"`{text}` is no `module:attribute`", hint=hint)


def _check_script(text: str, folder: Path, expected: Expectation) -> ImportProblem | None:
    if not expected.whole_module:
        return _malformed(text, expected)
    script = folder / text
    if not os.path.isfile(script):  # noqa: PTH113  a Path raises for a name that is too long
        return ImportProblem(
            code="AH261", message=f"there is no file `{text}`", hint="a relative path starts at the file's folder"
        )
    return _syntax_problem(script)


def _find_source(module: str, folder: Path) -> Path | None:
    """The source file of a module; None for one without source. Raises ModuleNotFoundError naming what is missing."""
    path: list[str] | None = None
    parts = module.split(".")
    for index, part in enumerate(parts):
        if index == 0 and part in sys.builtin_module_names:
            return None
        spec = _find_top(part, (*code_folders(folder), *sys.path)) if path is None else _find_below(part, path)
        if spec is None:
            raise ModuleNotFoundError(".".join(parts[: index + 1]))
        path = list(spec.submodule_search_locations) if spec.submodule_search_locations is not None else []
        if index < len(parts) - 1 and spec.submodule_search_locations is None:
            raise ModuleNotFoundError(".".join(parts[: index + 2]))
        if index == len(parts) - 1:
            return Path(spec.origin) if spec.origin and spec.origin.endswith(".py") else None
    return None


def _find_top(name: str, path: tuple[str, ...]) -> importlib.machinery.ModuleSpec | None:
    found = _find_below(name, list(path))
    if found is not None:
        return found
    # Editable installs of some build systems are found by hooks of their own, which look and do not import.
    known = (importlib.machinery.BuiltinImporter, importlib.machinery.FrozenImporter, importlib.machinery.PathFinder)
    for finder in sys.meta_path:
        if finder not in known and (spec := finder.find_spec(name, None)):
            return spec
    return None


def _find_below(name: str, path: list[str]) -> importlib.machinery.ModuleSpec | None:
    # PathFinder and not importlib.util.find_spec: that one imports the packages above.
    return importlib.machinery.PathFinder.find_spec(name, path)


def _missing_module(text: str, missing: str, folder: Path) -> ImportProblem:
    hint = "neither beside the file nor installed"
    parent, _, last = missing.rpartition(".")
    if last == "py":  # `my_agent.py:entrypoint`
        hint = f"write `{text.replace('.py:', ':')}`: a module's name has no `.py`"
        return ImportProblem(code="AH261", message=f"there is no module `{missing}`", hint=hint)
    if text == missing and parent:  # `package.module.attribute`: the usual slip of whoever writes imports all day
        hint = f"if `{last}` is in the module `{parent}`, write `{parent}:{last}`"
        return ImportProblem(code="AH261", message=f"there is no module `{missing}`", hint=hint)
    place = folder.joinpath(*parent.split(".")) if parent else folder
    close = difflib.get_close_matches(last, _modules_in(place), n=1, cutoff=0.6)
    if close:
        hint = f"did you mean `{parent + '.' if parent else ''}{close[0]}`?"
    return ImportProblem(code="AH261", message=f"there is no module `{missing}`", hint=hint)


def _modules_in(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return [entry.stem for entry in folder.iterdir() if entry.suffix == ".py" or (entry / "__init__.py").is_file()]


@lru_cache(maxsize=4)  # one file is asked for several names in a row; a host that reloads for weeks must not keep all
def _parse(file: Path, stamp: tuple[int, int]) -> ast.Module | SyntaxError:
    try:
        return ast.parse(file.read_bytes(), filename=str(file))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        # Its traceback would keep everything alive that this reading of the configuration made.
        return error.with_traceback(None) if isinstance(error, SyntaxError) else SyntaxError(str(error))


def _tree(file: Path) -> ast.Module | SyntaxError:
    status = file.stat()
    return _parse(file, (status.st_mtime_ns, status.st_size))


def _syntax_problem(file: Path) -> ImportProblem | None:
    tree = _tree(file)
    if isinstance(tree, SyntaxError):
        where = f"{file.name}:{tree.lineno or 1}"
        return ImportProblem(
            code="AH262",
            message=f"{where} is not valid Python: {tree.msg}",
            hint="fix the syntax error",
            file=str(file),
            line=tree.lineno or 1,
        )
    return None


def _check_attribute(file: Path, module: str, attribute: str, expected: Expectation) -> ImportProblem | None:
    tree = _tree(file)
    if isinstance(tree, SyntaxError):
        return _syntax_problem(file)
    names: dict[str, list[ast.stmt]] = {}
    for name, statement in _bindings(tree.body):
        names.setdefault(name, []).append(statement)
    first = attribute.partition(".")[0]
    if first not in names:
        if "*" in names or "__getattr__" in names or _is_submodule(file, first):
            return None
        close = difflib.get_close_matches(first, names, n=1, cutoff=0.6)
        hint = f"did you mean `{module}:{close[0]}`?" if close else f"define it in {file.name}"
        message = f"module `{module}` has no `{first}`"
        return ImportProblem(code="AH263", message=message, hint=hint, file=str(file), line=1)
    if first == attribute and len(names[first]) == 1:
        return _check_kind(names[first][0], file, f"{module}:{attribute}", expected)
    return None  # bound more than once: which one holds, only running the module would tell


def _check_kind(node: ast.stmt, file: Path, reference: str, expected: Expectation) -> ImportProblem | None:
    """Only what is certain is refused: a plain `def` where a coroutine is needed, or a literal."""
    line = node.lineno
    if (
        isinstance(node, ast.FunctionDef)
        and expected.coroutine
        and not node.decorator_list
        and not _returns_awaitable(node)
    ):
        message = f"`{reference}` is a plain function ({file.name}:{line})"
        return ImportProblem(code="AH264", message=message, hint="make it `async def`", file=str(file), line=line)
    value = node.value if isinstance(node, (ast.Assign, ast.AnnAssign)) and not _unpacks(node) else None
    if isinstance(value, (ast.Constant, ast.List, ast.Dict, ast.Tuple, ast.Set)):
        message = f"`{reference}` is a value, not a function ({file.name}:{line})"
        wanted = "a function, an AgentServer or WorkerOptions" if expected.whole_module else "a function"
        return ImportProblem(code="AH264", message=message, hint=f"name {wanted}", file=str(file), line=line)
    return None


def _unpacks(node: ast.Assign | ast.AnnAssign) -> bool:
    return isinstance(node, ast.Assign) and not all(isinstance(target, ast.Name) for target in node.targets)


def _returns_awaitable(node: ast.FunctionDef) -> bool:
    """A `def` may still return an awaitable; only one that returns nothing at all surely does not."""
    return any(isinstance(inner, ast.Return) and inner.value is not None for inner in ast.walk(node))


def _is_submodule(file: Path, name: str) -> bool:
    if file.name != "__init__.py":
        return False
    return (file.parent / f"{name}.py").is_file() or (file.parent / name / "__init__.py").is_file()


def _bindings(body: list[ast.stmt]) -> Iterator[tuple[str, ast.stmt]]:
    """The names that a module's top level binds, also inside its `if`, `try`, `with` and loops."""
    for node in body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name, node
            case ast.Import() | ast.ImportFrom():
                for alias in node.names:
                    yield alias.asname or alias.name.partition(".")[0], node
            case _:
                for name in _assigned(node):
                    yield name, node
                for inner in _blocks(node):
                    yield from _bindings(inner)


def _assigned(node: ast.stmt) -> Iterator[str]:
    """Names stored anywhere in a statement that is no definition; blocks below it are walked on their own."""
    for inner in ast.iter_child_nodes(node):
        if isinstance(inner, ast.stmt):
            continue
        for name in ast.walk(inner):
            if isinstance(name, ast.Name) and isinstance(name.ctx, ast.Store):
                yield name.id


def _blocks(node: ast.stmt) -> Iterator[list[ast.stmt]]:
    for field in ("body", "orelse", "finalbody"):
        yield getattr(node, field, [])
    for handler in getattr(node, "handlers", []):
        yield handler.body
    for case in getattr(node, "cases", []):
        yield case.body
