"""Whose bytecode is written to disk: that of installed packages, as by any Python; never that of the user's own code.

Runs in the base, in templates, and in what is forked or spawned from there. A second edit of a file within a second
that keeps its size would load the bytecode of the first. But a package that was installed without bytecode (uv does so)
would be compiled anew at every start and reload, which takes seconds for livekit-agents and what it imports.
"""

import sys
from importlib.machinery import SourceFileLoader

from agenthost.child.user_modules import is_users

_write = SourceFileLoader.set_data


def write_no_bytecode_of_users() -> None:
    """From now on, for good. Nothing is written at all where Python was told so (PYTHONDONTWRITEBYTECODE)."""
    if not sys.dont_write_bytecode:
        setattr(SourceFileLoader, "set_data", _write_installed)  # noqa: B010  an assignment is not allowed to a method


def _write_installed(loader: SourceFileLoader, path: str, data: bytes, **options: int) -> None:
    """In place of the method with which the import system writes the bytecode of the file `loader.path`."""
    if not is_users(str(loader.path)):
        _write(loader, path, data, **options)
