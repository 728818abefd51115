"""Which modules are the user's own code: what each process imports for itself, and a reload watches and compares.

Runs in templates and in what is forked from there. The user's own is what they edit: all that lies outside of Python
and of the folders that packages are installed in, editable installs and modules on PYTHONPATH included; and the
package that the file names, wherever it lies.
"""

import os
import sys
import sysconfig
from collections.abc import Iterable
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

_NOT_THE_USERS = tuple(
    f"{folder}{os.sep}"
    for folder in (str(Path(__file__).parents[1]), *map(sysconfig.get_path, ("stdlib", "platstdlib")))
)
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")

_claimed: set[str] = set()
_targets: tuple[str, ...] = ()


def user_modules(modules: Iterable[ModuleType] | None = None) -> tuple[str, ...]:
    """The source files of the user's own modules, of all that were imported or of `modules`."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values() if modules is None else modules))
    return tuple(sorted({file for file in files if file and is_users(file)}))


def is_users(file: str) -> bool:
    """Whether `file` is the user's own, which they edit; their editable installs are, too."""
    if _claimed and file.startswith(tuple(_claimed)):
        return True
    if is_installed(file):
        return False
    return not file.startswith((*_NOT_THE_USERS, *_targets))


def is_installed(file: str) -> bool:
    """Whether `file` lies where packages are installed, for this environment, for the system, or for the user."""
    return any(folder in file for folder in _INSTALLED)


def find_targets(own: Iterable[str]) -> None:
    """Look for folders of sys.path that packages were installed in by `pip install --target`; none that holds `own`."""
    global _targets
    folders = [f"{folder}{os.sep}" for folder in sys.path if folder]
    inside = [f"{folder}{os.sep}" for folder in own]
    _targets = tuple(
        folder for folder in folders if not any(one.startswith(folder) for one in inside) and _has_packages(folder)
    )


def _has_packages(folder: str) -> bool:
    try:
        return any(name.endswith(".dist-info") for name in os.listdir(folder))  # noqa: PTH208
    except OSError:
        return False  # a zip file, or nothing


def is_users_module(module: ModuleType) -> bool:
    """The same for a module; one without a file is nobody's."""
    file = getattr(module, "__file__", None)
    return bool(file) and is_users(str(file))


def claim(references: Iterable[str]) -> None:
    """Count the packages of these `module:attribute` as the user's own, also where they are installed."""
    for reference in references:
        spec = locate(reference.partition(":")[0].partition(".")[0])
        if spec is None or spec.origin is None:  # none, or a namespace that others have packages in as well
            spec = locate(reference.partition(":")[0])
        if spec is not None and spec.origin is not None and not is_users(spec.origin):
            folders = spec.submodule_search_locations
            _claimed.update(f"{folder}{os.sep}" for folder in folders) if folders else _claimed.add(spec.origin)


def locate(name: str, path: Iterable[str] | None = None) -> ModuleSpec | None:
    """Where the module `name` would be imported from, `path` before sys.path; nothing is imported. None: nowhere."""
    places: list[str] | None = [*path, *sys.path] if path is not None else None
    spec: ModuleSpec | None = None
    walked = ""
    for part in name.split("."):
        walked = f"{walked}.{part}" if walked else part
        try:
            spec = PathFinder.find_spec(walked, places)
            places = list((spec and spec.submodule_search_locations) or ())
        except (ImportError, ValueError, KeyError):  # KeyError: within a namespace package that is not imported
            return None
        if spec is None:
            return None
    return spec
