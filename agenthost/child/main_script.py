"""A script, or a module that is run: where it is, and running it as Python does. Runs in processes and in templates.

main.py            as `python main.py`: its folder comes first on the path
pkg/main.py        the same; in a package (or with relative imports) as `python -m pkg.main`, from above the package
pkg.main, pkg      as `python -m`, which for a package is its `__main__`
"""

import ast
import importlib
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from msgspec import Struct

from agenthost.child.code_snapshot import snapshot
from agenthost.child.user_modules import locate
from agenthost.errors import EntrypointError

MAIN = "__main__"
OF_A_CHILD = "__mp_main__"
"""The name that multiprocessing gives the script of its parent: its `if __name__ == "__main__":` is passed over."""


class Script(Struct, frozen=True, kw_only=True):
    """`module` is its name where it is one of a package, else ""; `folder` comes first on the path."""

    file: Path
    module: str
    folder: str

    @property
    def package(self) -> str:
        """What its relative imports are relative to."""
        return self.module.rpartition(".")[0]


def find_script(reference: str) -> Script:
    """What `reference` (`script.py`, `package/script.py`, `package.module`) names. Raises EntrypointError."""
    return _script_file(reference) if reference.endswith(".py") else _module_file(reference)


def place_of_code(entrypoint: str) -> str:
    """The file of the module or script that `entrypoint` names; "" where there is none."""
    name, colon, _ = entrypoint.partition(":")
    try:
        if name and not colon:
            return str(find_script(name).file)
    except EntrypointError:
        return ""
    spec = locate(name) if name else None
    return (spec and spec.origin) or ""


def run_script(script: Script, name: str) -> ModuleType:
    """Run it as the module `name`, `__main__` or `__mp_main__`. Raises whatever it raises."""
    module = ModuleType(name)
    module.__file__ = str(script.file)
    # For good, as in a script of one's own: what its functions look up later is looked up in there.
    sys.modules[name] = sys.modules[MAIN] = module
    if script.folder not in sys.path[:1]:
        sys.path.insert(0, script.folder)
    if script.package:
        importlib.import_module(script.package)
        module.__package__ = script.package
    if script.module:
        module.__spec__ = ModuleSpec(script.module, None, origin=str(script.file))
    exec(snapshot().script(script.file), module.__dict__)
    return module


def _script_file(reference: str) -> Script:
    """Beside the file, whose folder comes first on the path."""
    for folder in (*sys.path[:1], "."):
        file = Path(folder, reference)
        if file.is_file():
            return _in_package(file.resolve(), Path(folder).resolve())
    raise EntrypointError(f"there is no script `{reference}` in {sys.path[0]}")


def _in_package(file: Path, root: Path) -> Script:
    packages: list[str] = []
    folder = file.parent
    while (folder / "__init__.py").is_file() and folder.name.isidentifier():
        packages.insert(0, folder.name)
        folder = folder.parent
    if not packages and file.parent != root and file.is_relative_to(root) and _imports_relatively(file):
        folder, packages = root, list(file.parent.relative_to(root).parts)
    if not packages:
        return Script(file=file, module="", folder=str(file.parent))
    return Script(file=file, module=".".join([*packages, file.stem]), folder=str(folder))


def _imports_relatively(file: Path) -> bool:
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, ValueError, SyntaxError):
        return False
    return any(isinstance(node, ast.ImportFrom) and node.level for node in ast.walk(tree))


def _module_file(reference: str) -> Script:
    spec = locate(reference)
    if spec is not None and spec.submodule_search_locations is not None:
        reference = f"{reference}.__main__" if (main := locate(f"{reference}.__main__")) else reference
        spec = main or spec
    if spec is None or spec.origin is None:
        raise EntrypointError(
            f"there is no module `{reference}` in {sys.path[0]}, nor is one installed in this environment"
        )
    return Script(file=Path(spec.origin), module=reference, folder=sys.path[0])
